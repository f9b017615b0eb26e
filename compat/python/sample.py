"""The records that travel between clients, read from `sample.tsv`, which the Java program reads as well."""
from pathlib import Path
from typing import NamedTuple, Optional

CODECS = ("none", "gzip", "snappy", "lz4", "zstd")  # partition n of a sample topic is written with codec n


class Record(NamedTuple):
    key: Optional[bytes]
    value: Optional[bytes]
    timestamp: Optional[int] = None  # ms; None lets the client choose
    headers: tuple = ()  # of (name, bytes or None)


def field(text):
    if text == "null":
        return None
    return bytes.fromhex(text[2:]) if text.startswith("0x") else text.encode()


def record(line):
    key, value, timestamp, headers = line.split("\t")
    pairs = (h.split("=", 1) for h in headers.split(";") if h)
    return Record(field(key), field(value), int(timestamp), tuple((name, field(text)) for name, text in pairs))


def load():
    lines = Path(__file__).parent.parent.joinpath("sample.tsv").read_text("utf-8").split("\n")
    return [record(line) for line in lines if line and not line.startswith("#")]


SAMPLE = load()


def numbered(count, size=20):
    """Records whose values tell their place: b'0', b'1', … padded to `size` bytes."""
    return [Record(b"k", str(n).encode().ljust(size)) for n in range(count)]


def topic_of(client, run):
    """Where a client leaves its sample for the others."""
    return f"{run}-sample-{client}"
