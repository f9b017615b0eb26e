"""Kafka's protocol by hand, as little as hostile tests need: one connection, old request versions mostly, one batch.

Nothing but Python's own library, and nothing that checks what it sends: the tests decide what is wrong with it.
"""
import socket
import struct
import time

PATIENCE_S = 10

UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER = 3, 6
PRODUCE, FETCH, LIST_OFFSETS, METADATA, API_VERSIONS, CREATE_TOPICS = 0, 1, 2, 3, 18, 19


class Closed(Exception):
    """The broker closed the connection."""


class Connection:
    def __init__(self, bootstrap):
        host, port = bootstrap.rsplit(":", 1)
        self.socket = socket.create_connection((host, int(port)), PATIENCE_S)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation_id = 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        try:
            self.socket.sendall(data)
        except ConnectionError as e:
            raise Closed from e

    def _bytes(self, count):
        data = b""
        while len(data) < count:
            try:
                part = self.socket.recv(count - len(data))
            except ConnectionError as e:
                raise Closed from e
            except TimeoutError:
                raise AssertionError(f"no answer within {PATIENCE_S} s, and the connection is still open") from None
            if not part:
                raise Closed
            data += part
        return data

    def answer(self):
        """The next answer: (correlation id, what follows it)."""
        (length,) = struct.unpack(">i", self._bytes(4))
        data = self._bytes(length)
        return struct.unpack(">i", data[:4])[0], data[4:]

    def ask(self, key, version, body=b""):
        self.correlation_id += 1
        self.send(frame(key, version, self.correlation_id, body))
        correlation_id, answer = self.answer()
        assert correlation_id == self.correlation_id, f"correlation id {correlation_id}, expected {self.correlation_id}"
        return Fields(answer)

    def closed(self):
        """The broker closes the connection, and sends nothing before."""
        try:
            got = self._bytes(1)
        except Closed:
            return
        raise AssertionError(f"answered with {got!r}… where the connection should be closed")


class Fields:
    """Reads the fields of an answer one by one."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def _next(self, form):
        (value,) = struct.unpack_from(">" + form, self.data, self.at)
        self.at += struct.calcsize(form)
        return value

    def int8(self):
        return self._next("b")

    def int16(self):
        return self._next("h")

    def int32(self):
        return self._next("i")

    def int64(self):
        return self._next("q")

    def bytes(self):
        length = self.int32()
        self.at += max(length, 0)
        return None if length < 0 else self.data[self.at - length : self.at]

    def string(self):
        length = self.int16()
        self.at += max(length, 0)
        return None if length < 0 else self.data[self.at - length : self.at]


    def uvarint(self):
        value = shift = 0
        while True:
            byte = self._next("B")
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def compact(self):
        length = self.uvarint() - 1
        self.at += max(length, 0)
        return None if length < 0 else self.data[self.at - length : self.at]


def string(value):
    data = value if isinstance(value, bytes) else value.encode()
    return struct.pack(">h", len(data)) + data


def array(items):
    return struct.pack(">i", len(items)) + b"".join(items)


def uvarint(value):
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes(data + bytes([value]))


def compact(value):
    """A string of the versions with tags."""
    data = value if isinstance(value, bytes) else value.encode()
    return uvarint(len(data) + 1) + data


def compact_array(items):
    return uvarint(len(items) + 1) + b"".join(items)


def request(key, version, correlation_id, body=b""):
    """A request with header version 1."""
    return struct.pack(">hhi", key, version, correlation_id) + string("hostile") + body


def frame(key, version, correlation_id, body=b""):
    data = request(key, version, correlation_id, body)
    return struct.pack(">i", len(data)) + data


# Requests, and what the tests want of their answers


def create_topic(bootstrap, topic, **configs):
    """Makes a topic with one partition, and waits until that has a leader: Kafka answers earlier."""
    configs = array([string(key.replace("_", ".")) + string(value) for key, value in configs.items()])
    body = array([string(topic) + struct.pack(">ih", 1, 1) + array([]) + configs]) + struct.pack(">ib", 10_000, 0)
    with Connection(bootstrap) as connection:
        answer = connection.ask(CREATE_TOPICS, 2, body)
        answer.int32(), answer.int32(), answer.string()
        code, end = answer.int16(), time.monotonic() + PATIENCE_S
        assert code == 0, f"creating {topic}: error {code}"
        while log_end(connection, topic) is None:
            assert time.monotonic() < end, f"{topic} has no leader after {PATIENCE_S} s"


def metadata(topics):
    return array([string(t) for t in topics])


def produce(topic, records, acks=-1):
    """Body of Produce version 7: one partition, 0."""
    return struct.pack(">hhi", -1, acks, 10_000) + array([string(topic) + array([struct.pack(">ii", 0, len(records)) + records])])


def produced(answer):
    """(error code, base offset) of the one partition."""
    answer.int32(), answer.string(), answer.int32(), answer.int32()
    return answer.int16(), answer.int64()


def fetch(topic, offset=0, max_wait_ms=0, min_bytes=1):
    """Body of Fetch version 4: one partition, 0."""
    partition = struct.pack(">iqi", 0, offset, 1 << 20)
    return struct.pack(">iiiib", -1, max_wait_ms, min_bytes, 1 << 20, 0) + array([string(topic) + array([partition])])


def fetched(answer):
    """(error code, high watermark, records) of the one partition."""
    answer.int32(), answer.int32(), answer.string(), answer.int32(), answer.int32()
    code, high_watermark = answer.int16(), answer.int64()
    answer.int64()
    for _ in range(answer.int32()):
        answer.int64(), answer.int64()
    return code, high_watermark, answer.bytes()


def log_end(connection, topic):
    """The offset after the last record, or None as long as nobody leads."""
    body = struct.pack(">i", -1) + array([string(topic) + array([struct.pack(">iq", 0, -1)])])
    answer = connection.ask(LIST_OFFSETS, 1, body)
    answer.int32(), answer.string(), answer.int32(), answer.int32()
    code, _, offset = answer.int16(), answer.int64(), answer.int64()
    assert code in (0, UNKNOWN_TOPIC_OR_PARTITION, NOT_LEADER), f"the log end: error {code}"
    return offset if code == 0 else None


# A record batch


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def zigzag(value):
    return uvarint(value << 1 ^ value >> 63)


def record(delta, value):
    body = b"\0" + zigzag(0) + zigzag(delta) + zigzag(-1) + zigzag(len(value)) + value + zigzag(0)
    return zigzag(len(body)) + body


def batch(values=(b"a", b"b", b"c"), *, base_offset=0, magic=2, attributes=0, count=None, last_delta=None, crc_off_by=0, length_off_by=0):
    """A batch of records; what is named makes it wrong."""
    records = b"".join(record(n, v) for n, v in enumerate(values))
    count = len(values) if count is None else count
    last_delta = len(values) - 1 if last_delta is None else last_delta
    tail = struct.pack(">hiqqqhii", attributes, last_delta, 0, 0, -1, -1, -1, count) + records
    head = struct.pack(">iBI", -1, magic, crc32c(tail) + crc_off_by & 0xFFFFFFFF)
    return struct.pack(">qi", base_offset, len(head) + len(tail) + length_off_by) + head + tail
