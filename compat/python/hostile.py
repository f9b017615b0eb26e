"""What bad networks, broken clients and attackers send. After each test the broker must still serve a polite client.

Where the expectation is a closed connection or an error code, it is Kafka's own answer.
"""
import random
import struct
import time

from checks import equal
from frames import (API_VERSIONS, FETCH, METADATA, PRODUCE, Closed, Connection, array, batch, create_topic, fetch, fetched, frame,
                    log_end, metadata, produce, produced, string)

MAX_FRAME_BYTES = 104857600  # socket.request.max.bytes
UNKNOWN_TOPIC, CORRUPT, OFFSET_OUT_OF_RANGE, INVALID_TOPIC, BAD_ACKS, UNSUPPORTED_VERSION, INVALID_REQUEST, INVALID_RECORD = (
    3, 2, 1, 17, 21, 35, 42, 87)
UNKNOWN_SESSION, WRONG_SESSION_EPOCH = 70, 71


def polite(ctx):
    with Connection(ctx.bootstrap) as connection:
        equal(connection.ask(API_VERSIONS, 0).int16(), 0, "the error code of ApiVersions")


def then_polite(test):
    def run(ctx):
        test(ctx)
        polite(ctx)

    run.__name__ = test.__name__
    return run


def closes(ctx, data):
    with Connection(ctx.bootstrap) as connection:
        try:
            connection.send(data)
        except Closed:
            return
        connection.closed()


# Framing


def impossible_lengths(ctx):
    """Too long, negative, empty, or shorter than a header: closed at once."""
    for length in (MAX_FRAME_BYTES + 1, 2**31 - 1, -1, -(2**31), 0):
        closes(ctx, struct.pack(">i", length))
    for length in range(1, 8):
        closes(ctx, struct.pack(">i", length) + bytes(length))


def announced_and_never_sent(ctx):
    """Three connections that announce 100 MiB each and send one byte keep nobody from being served."""
    waiting = [Connection(ctx.bootstrap) for _ in range(3)]
    for connection in waiting:
        connection.send(struct.pack(">i", MAX_FRAME_BYTES) + b"\0")
    for _ in range(20):
        polite(ctx)
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        equal(produced(connection.ask(PRODUCE, 7, produce(topic, batch()))), (0, 0), "error code and offset")
    for connection in waiting:
        connection.socket.close()


def other_protocols(ctx):
    """HTTP, TLS, zeros and noise."""
    dice = random.Random(1)
    for data in (b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", bytes.fromhex("16030100c8010000c40303") + bytes(200), bytes(1000)):
        closes(ctx, data)
    for _ in range(50):
        with Connection(ctx.bootstrap) as connection:
            try:
                connection.send(dice.randbytes(dice.randrange(1, 2000)))
            except Closed:
                pass


def half_frames(ctx):
    """Clients that vanish in the middle of a frame."""
    whole = frame(METADATA, 1, 1, metadata(["x"]))
    for cut in range(1, len(whole)):
        with Connection(ctx.bootstrap) as connection:
            connection.send(whole[:cut])


def byte_by_byte(ctx):
    """A frame that comes in single bytes is a frame."""
    with Connection(ctx.bootstrap) as connection:
        for correlation_id in (1, 2):
            for byte in frame(API_VERSIONS, 0, correlation_id):
                connection.send(bytes([byte]))
            equal(connection.answer()[0], correlation_id, "the correlation id")


def pipelined(ctx):
    """A hundred requests in one write are answered in order."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    kinds = [(API_VERSIONS, 0, b""), (METADATA, 1, metadata([topic])), (PRODUCE, 7, produce(topic, batch())), (FETCH, 4, fetch(topic)),
             (PRODUCE, 7, produce(topic, batch()))]
    with Connection(ctx.bootstrap) as connection:
        connection.send(b"".join(frame(key, version, n, body) for n in range(20) for key, version, body in kinds))
        equal([connection.answer()[0] for _ in range(100)], [n for n in range(20) for _ in kinds], "the correlation ids")
        equal(log_end(connection, topic), 120, "the log end")


def pipelined_behind_a_long_poll(ctx):
    """A request behind a fetch that waits is answered after it."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        connection.send(frame(FETCH, 4, 1, fetch(topic, max_wait_ms=500)) + frame(API_VERSIONS, 0, 2))
        equal([connection.answer()[0] for _ in range(2)], [1, 2], "the correlation ids")


def idle_fetch(ctx):
    """A fetch at the end of the log waits its time, and no longer, and answers with no records."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        start = time.monotonic()
        equal(fetched(connection.ask(FETCH, 4, fetch(topic, max_wait_ms=700))), (0, 0, b""), "error code, high watermark, records")
        took = time.monotonic() - start
        assert 0.69 <= took < 5, f"the fetch took {took:.2f} s"


def fetch_at_a_segments_end(ctx):
    """A fetch whose segment ends does not wait for bytes that the next one has."""
    topic, large = ctx.topic(), batch([bytes(700_000)])
    create_topic(ctx.bootstrap, topic, segment_bytes="1048576")
    with Connection(ctx.bootstrap) as connection:
        for offset in (0, 1):
            equal(produced(connection.ask(PRODUCE, 7, produce(topic, large))), (0, offset), "error code and offset")
        start = time.monotonic()
        answer = fetched(connection.ask(FETCH, 4, fetch(topic, max_wait_ms=5_000, min_bytes=1_000_000)))
        took = time.monotonic() - start
        equal((answer[0], len(answer[2])), (0, len(large)), "error code, bytes")
        assert took < 4, f"the fetch took {took:.2f} s"


def gone_while_a_fetch_waits(ctx):
    """Connections that close while their fetch waits."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    for _ in range(50):
        with Connection(ctx.bootstrap) as connection:
            connection.send(frame(FETCH, 4, 1, fetch(topic, max_wait_ms=60_000)))
    with Connection(ctx.bootstrap) as connection:
        equal(produced(connection.ask(PRODUCE, 7, produce(topic, batch()))), (0, 0), "error code and offset")


# Headers and bodies


def unknown_keys_and_versions(ctx):
    """No answer can be right, so the connection closes."""
    for key, version in ((93, 0), (500, 0), (-1, 0), (4, 0), (METADATA, 14), (METADATA, -1), (FETCH, 3), (PRODUCE, 14), (PRODUCE, 32767)):
        closes(ctx, frame(key, version, 1))


def api_versions_downgrade(ctx):
    """An ApiVersions from the future is told, in version 0, which versions there are; the connection goes on."""
    with Connection(ctx.bootstrap) as connection:
        for version in (5, 9, 32767, -1):
            answer = connection.ask(API_VERSIONS, version, b"\0\0\0")
            equal(answer.data, struct.pack(">hihhh", UNSUPPORTED_VERSION, 1, API_VERSIONS, 0, 4), f"the answer to version {version}")
        equal(connection.ask(API_VERSIONS, 0).int16(), 0, "the error code")


def bad_client_software(ctx):
    """Names and versions of client software that are no names (KIP-511) are refused, and the connection goes on."""
    with Connection(ctx.bootstrap) as connection:
        for name, code in ((b"fine", 0), (b"", INVALID_REQUEST), (b"not fine", INVALID_REQUEST), (b"-x", INVALID_REQUEST)):
            body = b"\0" + bytes([len(name) + 1]) + name + b"\x021" + b"\0"  # header tags, name, version "1", tags
            equal(connection.ask(API_VERSIONS, 3, body).int16(), code, f"the error code for {name!r}")


def bodies_that_lie(ctx):
    """Counts and lengths beyond the frame's end."""
    for body in (b"", struct.pack(">i", 1), struct.pack(">i", 2**31 - 1), struct.pack(">i", 1000) + string("x"),
                 struct.pack(">ih", 1, 1000) + b"x", struct.pack(">ih", 1, -1)):
        closes(ctx, frame(METADATA, 1, 1, body))
    whole = produce("nowhere", batch())
    for cut in range(0, len(whole) - len(batch()), 3):
        closes(ctx, frame(PRODUCE, 7, 1, whole[:cut]))


def header_that_lies(ctx):
    closes(ctx, struct.pack(">ihhih", 10, METADATA, 1, 1, 1000))


def trailing_bytes(ctx):
    """What follows the last field is ignored."""
    with Connection(ctx.bootstrap) as connection:
        connection.ask(METADATA, 1, metadata([]) + b"more than was asked for")
        equal(connection.ask(API_VERSIONS, 0, b"\xff" * 100).int16(), 0, "the error code")


def topic_name_no_utf8(ctx):
    with Connection(ctx.bootstrap) as connection:
        answer = connection.ask(METADATA, 1, metadata([b"\xff\xfe"]))
        for _ in range(answer.int32()):
            answer.int32(), answer.string(), answer.int32(), answer.string()
        answer.int32()
        equal(answer.int32(), 1, "the number of topics")
        equal(answer.int16(), INVALID_TOPIC, "the error code")


# Records and fetches


def bad_batches(ctx):
    """A batch that is not whole or not true is refused with Kafka's code, and the log does not grow."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    bad = (
        ("a wrong CRC", CORRUPT, batch(crc_off_by=1)),
        ("magic 3", CORRUPT, batch(magic=3)),
        ("nothing", INVALID_RECORD, b""),
        ("two batches", INVALID_RECORD, batch() + batch()),
        ("a count of 4 for 3 records", INVALID_RECORD, batch(count=4)),
        ("a last offset delta of 3 for 3 records", INVALID_RECORD, batch(last_delta=3)),
        ("base offset 7", INVALID_RECORD, batch(base_offset=7)),
        ("a control batch", INVALID_RECORD, batch(attributes=0x20)),
    )
    with Connection(ctx.bootstrap) as connection:
        for what, code, records in bad:
            equal(produced(connection.ask(PRODUCE, 7, produce(topic, records))), (code, -1), f"error code and offset for {what}")
            equal(log_end(connection, topic), 0, f"the log end after {what}")
        equal(produced(connection.ask(PRODUCE, 7, produce(topic, batch()))), (0, 0), "error code and offset of a good batch")


def cut_batches(ctx):
    """A batch that ends too early, or whose length lies, is refused in whatever way, and the log does not grow."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    whole = batch()
    lies = [whole[:cut] for cut in range(1, len(whole))] + [batch(length_off_by=by) for by in (-70, -1, 1, 2**30, -(2**30))]
    for records in lies:
        with Connection(ctx.bootstrap) as connection:
            try:
                code, _ = produced(connection.ask(PRODUCE, 7, produce(topic, records)))
            except Closed:
                continue
            assert code != 0, f"accepted {records!r}"
    with Connection(ctx.bootstrap) as connection:
        equal(log_end(connection, topic), 0, "the log end")


def bad_produce(ctx):
    """Acks that do not exist, topics that do not; acks=0 cannot be answered, so its failure closes the connection."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        equal(produced(connection.ask(PRODUCE, 7, produce(topic, batch(), acks=2))), (BAD_ACKS, -1), "error code and offset of acks=2")
        equal(produced(connection.ask(PRODUCE, 7, produce(ctx.topic(), batch())))[0], UNKNOWN_TOPIC, "the error code of no topic")
    closes(ctx, frame(PRODUCE, 7, 1, produce(topic, batch(crc_off_by=1), acks=0)))


def bad_fetch(ctx):
    """Topics and offsets that do not exist are told at once, however long the fetch would wait."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        start = time.monotonic()
        for offset in (1, 2**62, -1):
            equal(fetched(connection.ask(FETCH, 4, fetch(topic, offset, 30_000)))[:2], (OFFSET_OUT_OF_RANGE, -1), f"offset {offset}")
        equal(fetched(connection.ask(FETCH, 4, fetch(ctx.topic(), 0, 30_000)))[:2], (UNKNOWN_TOPIC, -1), "an unknown topic")
        assert time.monotonic() - start < 20, "the answers waited"


def bad_fetch_sessions(ctx):
    """Sessions that are not there (KIP-227), and an epoch that is not next."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    partition = struct.pack(">iqqi", 0, 0, -1, 1 << 20)

    def ask(connection, session, epoch, topics):
        body = struct.pack(">iiiibii", -1, 0, 1, 1 << 20, 0, session, epoch) + array(topics) + array([])
        answer = connection.ask(FETCH, 7, body)
        answer.int32()
        return answer.int16(), answer.int32()

    with Connection(ctx.bootstrap) as connection:
        equal(ask(connection, 12345, 1, []), (UNKNOWN_SESSION, 0), "a session that was never made")
        code, session = ask(connection, 0, 0, [string(topic) + array([partition])])
        assert code == 0 and session > 0, f"a new session: error {code}, id {session}"
        equal(ask(connection, session, 5, []), (WRONG_SESSION_EPOCH, 0), "an epoch that is not next")
        equal(ask(connection, session, 1, []), (0, session), "the next epoch")


TESTS = [
    then_polite(test)
    for test in (
        impossible_lengths, announced_and_never_sent, other_protocols, half_frames, byte_by_byte, pipelined,
        pipelined_behind_a_long_poll, idle_fetch, fetch_at_a_segments_end, gone_while_a_fetch_waits, unknown_keys_and_versions, api_versions_downgrade,
        bad_client_software, bodies_that_lie, header_that_lies, trailing_bytes, topic_name_no_utf8, bad_batches, cut_batches, bad_produce,
        bad_fetch, bad_fetch_sessions)
]
