"""kill -9 under load: what was acknowledged is there, once, in order; and the broker is back soon.

An idempotent writer sends numbers, number n to partition n % 3, and a reader reads all along, while the broker is killed at
random moments. The writer repeats what was not answered, so in the end each partition must hold exactly its numbers, each at the
offset that was acknowledged, and the reader must have seen them so.
"""
import random
import threading
import time

from confluent_kafka import Consumer, Producer, TopicPartition

from checks import equal
from clients.confluent import Confluent
from server import Server

TOPIC, PARTITIONS = "killed", 3
ROUNDS = 10
PATIENCE_S = 60
RECONNECT = {"reconnect.backoff.ms": 10, "reconnect.backoff.max.ms": 100, "log_level": 0}


class Load:
    """Writes until it is finished; knows what was acknowledged."""

    def __init__(self, bootstrap):
        self.producer = Producer({
            "bootstrap.servers": bootstrap, "acks": "all", "enable.idempotence": True, "delivery.timeout.ms": 2**31 - 1, "linger.ms": 1,
            "batch.num.messages": 100, "queue.buffering.max.messages": 2_000, "retry.backoff.ms": 10,
            "error_cb": self._trouble, **RECONNECT})
        self.acknowledged = [[] for _ in range(PARTITIONS)]  # per partition: (offset, number), in the order of the answers
        self.count, self.sent, self.longest_silence_s, self.fatal = 0, 0, 0.0, None
        self.last = time.monotonic()
        self.news, self.finished = threading.Condition(), threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        while not self.finished.is_set():
            n = self.sent
            try:
                self.producer.produce(TOPIC, str(n), partition=n % PARTITIONS,
                                      on_delivery=lambda error, message, n=n: self._answer(error, message, n))
                self.sent += 1
            except BufferError:
                self.producer.poll(0.05)
            self.producer.poll(0)

    def _trouble(self, error):
        if error.fatal():
            self._answer(error, None, None)

    def _answer(self, error, message, n):
        with self.news:
            if error:
                self.fatal = self.fatal or f"number {n}: {error.name()} {error.str()}"
            else:
                self.acknowledged[message.partition()].append((message.offset(), n))
                self.count += 1
                now = time.monotonic()
                self.longest_silence_s, self.last = max(self.longest_silence_s, now - self.last), now
            self.news.notify_all()

    def wait_for(self, more):
        """Until so many more records are acknowledged."""
        with self.news:
            goal = self.count + more
            assert self.news.wait_for(lambda: self.fatal or self.count >= goal, PATIENCE_S), (
                f"{goal - self.count} of {more} acknowledgements are missing after {PATIENCE_S} s")
            assert not self.fatal, self.fatal

    def finish(self):
        self.finished.set()
        self.thread.join()
        left = self.producer.flush(PATIENCE_S)
        assert not self.fatal, self.fatal
        equal((left, self.count), (0, self.sent), "records without an answer, and with one")


class Following:
    """Reads all along; gives what it saw of each partition, as (offset, number)."""

    def __init__(self, bootstrap):
        self.consumer = Consumer({
            "bootstrap.servers": bootstrap, "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "error",
            "check.crcs": True, "fetch.error.backoff.ms": 10, **RECONNECT})
        self.consumer.assign([TopicPartition(TOPIC, p, 0) for p in range(PARTITIONS)])
        self.seen, self.trouble = [[] for _ in range(PARTITIONS)], None

    def until(self, counts):
        end = time.monotonic() + PATIENCE_S
        while [len(s) for s in self.seen] != counts:
            self.read(0.2)
            assert time.monotonic() < end, f"saw {[len(s) for s in self.seen]} records of {counts} after {PATIENCE_S} s; {self.trouble}"
        return self.seen

    def read(self, timeout):
        for message in self.consumer.consume(1_000, timeout):
            if message.error():  # a lost connection; what was lost in it shows in what is seen
                self.trouble = message.error()
            else:
                self.seen[message.partition()].append((message.offset(), int(message.value())))


def everything(bootstrap, counts):
    return Following(bootstrap).until(counts)


def prepared(program, folder, settings=()):
    server = Server(program, folder, settings)
    server.start()
    Confluent(server.bootstrap).create_topic(TOPIC, PARTITIONS)
    return server


def compare(seen, load, who):
    for partition in range(PARTITIONS):
        want = list(enumerate(range(partition, load.sent, PARTITIONS)))
        for got, wanted in zip(seen[partition], want):
            equal(got, wanted, f"what {who} saw of partition {partition}, as (offset, number)")
        equal(len(seen[partition]), len(want), f"how many records {who} saw of partition {partition}")
        equal(sorted(load.acknowledged[partition]) == want, True, f"the acknowledged offsets of partition {partition} are the stored ones")


def kill9_under_load(ctx, program, ready_s):
    dice, seed = random.Random(), random.randrange(2**32)
    dice.seed(seed)
    server = prepared(program, ctx.folder)
    load, stop, starts = Load(server.bootstrap), threading.Event(), []
    reader = Following(server.bootstrap)
    following = threading.Thread(target=lambda: [reader.read(0.1) for _ in iter(stop.is_set, True)], daemon=True)
    following.start()
    for _ in range(ROUNDS):
        load.wait_for(dice.choice((1, dice.randrange(1, 500), dice.randrange(1, 5_000))))
        server.kill()
        starts.append(server.start())
    load.wait_for(1)
    load.finish()
    counts = [len(a) for a in load.acknowledged]
    stop.set()
    following.join()
    compare(reader.until(counts), load, "the reader")
    compare(everything(server.bootstrap, counts), load, "a new reader")
    equal(server.stop(), 0, "the exit status after SIGTERM")
    server.start()
    compare(everything(server.bootstrap, counts), load, "a reader after a clean stop")
    server.kill()
    print(f"  seed {seed}: {load.sent} records, {ROUNDS} kills; ready after {max(starts):.3f} s at most, "
          f"no acknowledgement for {load.longest_silence_s:.3f} s at most")
    assert max(starts) <= ready_s, f"ready only {max(starts):.1f} s after its start; allowed are {ready_s:g} s"


def sigterm_under_load(ctx, program, ready_s):
    """A clean stop while a writer writes exits with 0, and loses and doubles nothing."""
    server = prepared(program, ctx.folder)
    load = Load(server.bootstrap)
    for _ in range(3):
        load.wait_for(2_000)
        equal(server.stop(), 0, "the exit status after SIGTERM")
        server.start()
    load.wait_for(1)
    load.finish()
    compare(everything(server.bootstrap, [len(a) for a in load.acknowledged]), load, "a reader")
    server.kill()


def second_start_is_refused(ctx, program, ready_s):
    """A second broker on the same folder ends by itself and names `.lock`; the first one goes on."""
    first = prepared(program, ctx.folder)
    second = Server(program, ctx.folder)
    try:
        second.start()
    except AssertionError:
        assert second.process.wait(PATIENCE_S) != 0, "the second broker ended with status 0"
    else:
        raise AssertionError("two brokers serve one folder")
    with open(f"{ctx.folder}/server.log") as log:
        assert ".lock" in log.read(), "nothing is said of .lock"
    equal(Confluent(first.bootstrap).topics().get(TOPIC), PARTITIONS, "the partitions that the first one still serves")
    equal(first.stop(), 0, "the exit status of the first")


TESTS = [kill9_under_load, sigterm_under_load, second_start_is_refused]
