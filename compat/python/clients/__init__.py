"""One file a client. Each gives the same few calls, so that a check is written once and run with every client:

    name                                           as on PyPI
    cannot                                         the checks that ask what the client itself refuses
    create_topic(name, partitions=1, configs={})   refusals raise Refused
    delete_topic(name)
    topics()                                       {name: number of partitions}
    broker_id()                                    of the one broker
    configs(kind, name)                            {key: value} of a "topic" or a "broker"
    writer(sending)                                .send(topic, partition, records) gives the offsets; partition None: the client chooses
    reader(topic, partitions, offset, wait_ms)     assigned, no group; .next(timeout_s) gives a Seen, or None when the time is up
    offset_at(topic, partition, timestamp)         of the first record that is not older, or None
    ends(topic, partition)                         (first offset, offset after the last)

Writers and readers are closed by `with`.
"""
from dataclasses import dataclass
from typing import NamedTuple

from sample import Record


@dataclass(frozen=True)
class Sending:
    codec: str = "none"
    acks: str = "all"  # "0", "1", "all"
    idempotent: bool = False


class Seen(NamedTuple):
    partition: int
    offset: int
    record: Record


class Refused(Exception):
    """The broker's answer was an error code of Kafka's protocol."""

    def __init__(self, code, text=""):
        super().__init__(f"refused with code {code} {text}".rstrip())
        self.code = code


class Closing:
    """Gives `with` to a class that has `close`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


MAX_REQUEST_BYTES = 4 << 20  # of every writer: the broker's limits are tested, not the clients'
LINGER_MS = 20  # long enough that records sent together share a batch
