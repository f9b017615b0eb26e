"""What every client must see. A check is a function of the client and the test's context, and its docstring is the rule."""
import threading
import time

from clients import Refused, Sending
from sample import CODECS, SAMPLE, Record, numbered, topic_of

TOPIC_ALREADY_EXISTS, UNKNOWN_TOPIC, INVALID_TOPIC, INVALID_CONFIG, TOO_LARGE = 36, 3, 17, 40, 10
KEEP = {"retention.ms": "-1"}  # for records of a time long past
PATIENCE_S = 20  # for what must come; what must not take long has a limit of its own


class Context:
    """Where the broker is, names that no other test and no other run uses, and a folder that is gone after the test."""

    def __init__(self, bootstrap, run, test, folder):
        self.bootstrap, self.run, self.test, self.folder, self.topics = bootstrap, run, test, folder, 0

    def topic(self):
        self.topics += 1
        return f"{self.run}-{self.test}-{self.topics}"


def equal(got, want, what):
    if got != want:
        raise AssertionError(f"{what}: got {got!r}, expected {want!r}"[:600])


def refused(code, call):
    """The broker must refuse the call with this code."""
    try:
        call()
    except Refused as e:
        equal(e.code, code, "the error code")
    else:
        raise AssertionError(f"not refused; expected code {code}")


def until(probe, what):
    """Waits for a condition that nothing announces. The pause only spares the broker."""
    end = time.monotonic() + PATIENCE_S
    while not probe():
        assert time.monotonic() < end, f"not within {PATIENCE_S} s: {what}"
        threading.Event().wait(0.01)


def take(reader, count):
    """The next `count` records."""
    seen, end = [], time.monotonic() + PATIENCE_S
    while len(seen) < count:
        got = reader.next(0.5)
        if got:
            seen.append(got)
        assert time.monotonic() < end, f"only {len(seen)} of {count} records within {PATIENCE_S} s"
    return seen


def read(client, topic, count, partition=0, offset=0):
    with client.reader(topic, (partition,), offset) as reader:
        return take(reader, count)


def fresh(client, ctx, partitions=1, configs=None):
    """A new topic that metadata shows."""
    topic = ctx.topic()
    client.create_topic(topic, partitions, configs)
    until(lambda: client.topics().get(topic) == partitions, f"{topic} is in the metadata")
    return topic


def same_records(seen, want, first_offset=0):
    equal([s.offset for s in seen], list(range(first_offset, first_offset + len(want))), "the offsets")
    for got, record in zip(seen, want):
        equal(got.record, record, f"the record at offset {got.offset}")


# Topics


def create_and_delete(client, ctx):
    """A created topic is there with its partitions and configs, a second one of the name is refused; a deleted one is gone."""
    topic = ctx.topic()
    client.create_topic(topic, 3, {"max.message.bytes": "5000", "retention.ms": "-1"})
    until(lambda: client.topics().get(topic) == 3, "the topic has three partitions")
    refused(TOPIC_ALREADY_EXISTS, lambda: client.create_topic(topic))
    configs = client.configs("topic", topic)
    equal((configs["max.message.bytes"], configs["retention.ms"]), ("5000", "-1"), "the topic's own configs")
    equal(configs["cleanup.policy"], "delete", "a default config")
    client.delete_topic(topic)
    until(lambda: topic not in client.topics(), "the topic is gone")
    refused(UNKNOWN_TOPIC, lambda: client.delete_topic(topic))


def bad_topics(client, ctx):
    """Names and configs that Kafka refuses are refused with Kafka's codes."""
    refused(INVALID_TOPIC, lambda: client.create_topic("a/b"))
    refused(INVALID_CONFIG, lambda: client.create_topic(ctx.topic(), configs={"retention.ms": "soon"}))
    refused(INVALID_CONFIG, lambda: client.create_topic(ctx.topic(), configs={"no.such.key": "1"}))


def broker_configs(client, ctx):
    """The broker tells its own configs by Kafka's names."""
    found = client.configs("broker", str(client.broker_id()))
    for key in ("message.max.bytes", "log.dirs", "num.partitions", "socket.request.max.bytes"):
        assert found.get(key), f"{key} is {found.get(key)!r}"


def auto_create(client, ctx):
    """Writing to a topic that does not exist makes it, with one partition."""
    topic = ctx.topic()
    with client.writer(Sending()) as writer:
        equal(writer.send(topic, None, numbered(3)), [0, 1, 2], "the offsets")
    equal(client.topics()[topic], 1, "the number of partitions")
    equal([s.record.value for s in read(client, topic, 3)], [r.value for r in numbered(3)], "the values")


# Writing and reading


def sample_in_every_codec(client, ctx):
    """Keys, values, nulls, times and headers come back unchanged from every codec; the topic stays for the other clients."""
    topic = topic_of(client.name, ctx.run)
    client.create_topic(topic, len(CODECS), KEEP)
    for partition, codec in enumerate(CODECS):
        with client.writer(Sending(codec)) as writer:
            equal(writer.send(topic, partition, SAMPLE), list(range(len(SAMPLE))), f"the offsets with codec {codec}")
        same_records(read(client, topic, len(SAMPLE), partition), SAMPLE)


def null_header(client, ctx):
    """A header without a value stays one; an empty value stays empty."""
    topic, record = fresh(client, ctx), Record(b"k", b"v", None, (("none", None), ("empty", b"")))
    with client.writer(Sending()) as writer:
        writer.send(topic, 0, [record])
    equal(read(client, topic, 1)[0].record.headers, record.headers, "the headers")


def large_compressed(client, ctx):
    """Compressed batches of 200 kB that shrink well and of 200 kB that do not."""
    topic = fresh(client, ctx, len(CODECS))
    dull, noise = b"abcdefgh" * 25_000, noise_bytes(200_000)
    for partition, codec in enumerate(CODECS):
        with client.writer(Sending(codec)) as writer:
            writer.send(topic, partition, [Record(b"dull", dull), Record(b"noise", noise)])
        equal([s.record.value for s in read(client, topic, 2, partition)] == [dull, noise], True, f"{codec} comes back unchanged")


def acks(client, ctx):
    """acks 0 is written without an answer; 1 and all answer with the offset."""
    topic = fresh(client, ctx)
    with client.writer(Sending(acks="0")) as writer:
        writer.send(topic, 0, numbered(10))
    equal(len(read(client, topic, 10)), 10, "the records of acks=0")
    for first, level in ((10, "1"), (20, "all")):
        with client.writer(Sending(acks=level)) as writer:
            equal(writer.send(topic, 0, numbered(10)), list(range(first, first + 10)), f"the offsets of acks={level}")


def idempotent_order(client, ctx):
    """5,000 records of an idempotent writer, several batches in flight, are stored once and in order."""
    topic, records = fresh(client, ctx), numbered(5_000)
    with client.writer(Sending(idempotent=True)) as writer:
        equal(writer.send(topic, 0, records), list(range(5_000)), "the offsets")
    equal([s.record.value for s in read(client, topic, 5_000)], [r.value for r in records], "the values")


def partitions_in_order(client, ctx):
    """Four partitions read together each keep their order, and no record strays."""
    topic = fresh(client, ctx, 4)
    with client.writer(Sending()) as writer:
        for partition in range(4):
            writer.send(topic, partition, [Record(b"k", f"{partition}/{n}".encode()) for n in range(500)])
    with client.reader(topic, range(4)) as reader:
        seen = take(reader, 2_000)
    for partition in range(4):
        values = [s.record.value for s in seen if s.partition == partition]
        equal(values, [f"{partition}/{n}".encode() for n in range(500)], f"the values of partition {partition}")


def one_mebibyte(client, ctx):
    """A value of 1 MiB passes where the topic allows it."""
    topic, value = fresh(client, ctx, configs={"max.message.bytes": "2000000"}), noise_bytes(1 << 20)
    with client.writer(Sending()) as writer:
        equal(writer.send(topic, 0, [Record(b"k", value), Record(b"k", value)]), [0, 1], "the offsets")
    equal([s.record.value == value for s in read(client, topic, 2)], [True, True], "the values are unchanged")


def too_large(client, ctx):
    """A value of 1 MiB is refused by default, and stores nothing."""
    topic = fresh(client, ctx)
    with client.writer(Sending()) as writer:
        refused(TOO_LARGE, lambda: writer.send(topic, 0, [Record(b"k", noise_bytes(1 << 20))]))
        equal(writer.send(topic, 0, numbered(1)), [0], "the offset of the record behind it")


def log_append_time(client, ctx):
    """On a topic with LogAppendTime the broker's clock replaces the record's, in every codec."""
    topic = fresh(client, ctx, len(CODECS), {"message.timestamp.type": "LogAppendTime"})
    for partition, codec in enumerate(CODECS):
        before = int(time.time() * 1000)
        with client.writer(Sending(codec)) as writer:
            writer.send(topic, partition, [Record(b"k", b"v", 1700000000000)])
        (seen,) = read(client, topic, 1, partition)
        assert before <= seen.record.timestamp <= time.time() * 1000, f"{codec}: the time is {seen.record.timestamp}"


# Offsets


def ends(client, ctx):
    """The first offset and the end of an empty and of a written partition."""
    topic = fresh(client, ctx)
    equal(client.ends(topic, 0), (0, 0), "the ends when empty")
    with client.writer(Sending()) as writer:
        writer.send(topic, 0, numbered(7))
    equal(client.ends(topic, 0), (0, 7), "the ends")


def read_from_the_middle(client, ctx):
    """Reading begins at the very record asked for, also inside a compressed batch."""
    topic = fresh(client, ctx, 2)
    for partition, codec in enumerate(("none", "zstd")):
        with client.writer(Sending(codec)) as writer:
            writer.send(topic, partition, numbered(100))
        (seen,) = read(client, topic, 1, partition, 37)
        equal((seen.offset, seen.record.value), (37, numbered(100)[37].value), "the first record")


def beyond_the_end(client, ctx):
    """An offset that is not there is refused, so that the client falls back to its reset policy, the beginning."""
    topic = fresh(client, ctx)
    with client.writer(Sending()) as writer:
        writer.send(topic, 0, numbered(5))
    equal(read(client, topic, 1, offset=1_000)[0].offset, 0, "the first offset read")


def seek_by_time(client, ctx):
    """The offset for a time is that of the first record as old or younger, found inside batches, and none after the last."""
    topic, start = fresh(client, ctx, configs=KEEP), 1_700_000_000_000
    with client.writer(Sending()) as writer:
        for batch in range(10):
            writer.send(topic, 0, [Record(b"k", b"v", start + 1_000 * n) for n in range(batch * 20, batch * 20 + 20)])
    for time_ms, offset in ((start - 1, 0), (start, 0), (start + 77_000, 77), (start + 77_001, 78), (start + 199_001, None)):
        equal(client.offset_at(topic, 0, time_ms), offset, f"the offset at {time_ms - start} ms after the first record")
    equal(read(client, topic, 1, offset=77)[0].record.timestamp, start + 77_000, "the time of the record found")


# Waiting


def long_poll_wakes(client, ctx):
    """A reader that may wait 10 s at the end of the log gets a new record at once.

    The writer's short delay only makes it likely that the fetch already waits; whichever comes first, the record must be quick."""
    topic = fresh(client, ctx)
    with client.writer(Sending()) as writer, client.reader(topic, wait_ms=10_000) as reader:
        writer.send(topic, 0, numbered(1))
        take(reader, 1)
        for n in range(5):
            sent = []

            def send():
                sent.append(time.monotonic())
                writer.send(topic, 0, numbered(1))

            timer = threading.Timer(0.1, send)
            timer.start()
            (seen,) = take(reader, 1)
            took = time.monotonic() - sent[0]
            timer.join()
            equal(seen.offset, n + 1, "the offset")
            assert took < 5, f"the record came {took:.1f} s after it was sent"


def idle_reader(client, ctx):
    """A reader at the end of the log waits without a record and without an error, then gets the next one."""
    topic = fresh(client, ctx)
    with client.reader(topic, wait_ms=300) as reader:
        equal(reader.next(1.0), None, "a record of an empty partition")
        with client.writer(Sending()) as writer:
            writer.send(topic, 0, numbered(1))
        equal(take(reader, 1)[0].offset, 0, "the offset")


def noise_bytes(count):
    """Bytes that do not compress, always the same."""
    import random

    return random.Random(7).randbytes(count)


CHECKS = [
    create_and_delete, bad_topics, broker_configs, auto_create, sample_in_every_codec, null_header, large_compressed, acks,
    idempotent_order, partitions_in_order, one_mebibyte, too_large, log_append_time, ends, read_from_the_middle, beyond_the_end,
    seek_by_time, long_poll_wakes, idle_reader,
]
