"""kill -9 in the middle of rebalances: no partition has two owners, no commit goes back, everything written is read.

Three groups, of one protocol, of the other, and of members of both, read what `kill.Load` writes. Their members come and go, and
before all have heard of it the broker is killed. A member that goes while nobody answers stays a member until its session ends;
sessions are long enough that none of the living ends.
"""
import itertools
import random
import threading

from confluent_kafka import Consumer, KafkaException, TopicPartition

from checks import equal, until
from clients import Joining
from clients.aio import Aiokafka
from clients.confluent import Confluent, ConfluentNextGeneration
from clients.kafkapython import KafkaPython
from groups import commit, given_out, write
from kill import PARTITIONS, PATIENCE_S, RECONNECT, TOPIC, Load, prepared
from members import Member

ROUNDS = 8
MOST_MEMBERS = 3
SESSION_MS, HEARTBEAT_MS = 8_000, 200
SETTINGS = (
    "group.initial.rebalance.delay.ms=0", "group.consumer.assignment.interval.ms=0",
    f"group.consumer.session.timeout.ms={SESSION_MS}", f"group.consumer.min.session.timeout.ms={SESSION_MS}",
    f"group.consumer.heartbeat.interval.ms={HEARTBEAT_MS}", f"group.consumer.min.heartbeat.interval.ms={HEARTBEAT_MS}")


class Ledger:
    """What the members of one group were told, and what may not be."""

    def __init__(self, name, protocols):
        self.name, self.protocols = name, protocols
        self.lock, self.wrong, self.names = threading.Lock(), [], itertools.count()
        self.owner = {}  # partition: member
        self.committed = [0] * PARTITIONS  # the last acknowledged
        self.seen = [set() for _ in range(PARTITIONS)]
        self.assignments = self.commits = 0

    def assigned(self, member, partitions):
        with self.lock:
            self.assignments += 1
            for p in partitions:
                if p in self.owner:
                    self.wrong.append(f"partition {p} is given to member {member}, and member {self.owner[p]} has it")
                self.owner[p] = member
            return {p: self.committed[p] for p in partitions}

    def given_up(self, member, partitions):
        with self.lock:
            for p in partitions:
                if self.owner.get(p) == member:
                    del self.owner[p]

    def acknowledged(self, offsets):
        with self.lock:
            self.commits += 1
            for p, offset in offsets.items():
                if offset < self.committed[p]:
                    self.wrong.append(f"partition {p}: a commit of {offset} is acknowledged after {self.committed[p]}")
                self.committed[p] = offset


class Reader:
    """A member in a thread of its own, which reads and commits until it is told to leave."""

    def __init__(self, bootstrap, ledger, protocol):
        settings = {"heartbeat.interval.ms": HEARTBEAT_MS, "session.timeout.ms": SESSION_MS} if protocol == "classic" else {}
        self.ledger, self.number, self.goes_on = ledger, next(ledger.names), True
        self.not_below = {}  # partition: where its first record may be at the earliest
        self.consumer = Consumer(settings | RECONNECT | {
            "bootstrap.servers": bootstrap, "group.id": f"killed-{ledger.name}", "group.protocol": protocol,
            "enable.auto.commit": False, "auto.offset.reset": "earliest", "fetch.error.backoff.ms": 10})
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        self.consumer.subscribe([TOPIC], on_assign=self.on_assign, on_revoke=self.on_revoke, on_lost=self.on_revoke)
        while self.goes_on:
            ends = {}
            for message in self.consumer.consume(1_000, 0.1):
                if not message.error():
                    self.read(message)
                    ends[message.partition()] = message.offset() + 1
            if ends:
                self.commit(ends)
        self.consumer.close()

    def on_assign(self, _, partitions):
        self.not_below |= self.ledger.assigned(self.number, [p.partition for p in partitions])

    def on_revoke(self, _, partitions):
        self.ledger.given_up(self.number, [p.partition for p in partitions])

    def read(self, message):
        p, offset = message.partition(), message.offset()
        first = self.not_below.pop(p, offset)
        if offset < first:
            self.ledger.wrong.append(f"partition {p} is read from {offset}, though {first} was committed")
        self.ledger.seen[p].add(int(message.value()))

    def commit(self, ends):
        try:
            self.consumer.commit(offsets=[TopicPartition(TOPIC, p, end) for p, end in ends.items()], asynchronous=False)
        except KafkaException:
            return  # the broker is away, or the group has moved on
        self.ledger.acknowledged(ends)


def change(members, bootstrap, ledger, dice):
    """Somebody comes, or goes; nobody waits for it."""
    if len(members) < MOST_MEMBERS and (len(members) < 2 or dice.random() < 0.5):
        members.append(Reader(bootstrap, ledger, dice.choice(ledger.protocols)))
    else:
        members.pop(dice.randrange(len(members))).goes_on = False


def committed(bootstrap, ledger):
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": f"killed-{ledger.name}"} | RECONNECT)
    return [p.offset for p in consumer.committed([TopicPartition(TOPIC, p) for p in range(PARTITIONS)], PATIENCE_S)]


def kill9_in_rebalances(ctx, program, ready_s):
    dice, seed = random.Random(), random.randrange(2**32)
    dice.seed(seed)
    server, starts = prepared(program, ctx.folder, SETTINGS), []
    kinds = {"classic": ["classic"], "consumer": ["consumer"], "both": ["classic", "consumer"]}
    load, groups = Load(server.bootstrap), [(Ledger(name, protocols), []) for name, protocols in kinds.items()]
    classic, _ = groups[0]
    for _ in range(ROUNDS):
        for ledger, members in groups:
            change(members, server.bootstrap, ledger, dice)
        if dice.random() < 0.5:
            load.wait_for(dice.choice((1, dice.randrange(1, 500), dice.randrange(1, 5_000))))
        else:  # one member has heard of the change, perhaps no other
            known = classic.assignments
            until(lambda: classic.assignments > known, "a member of the classic group, which all join anew, has its partitions")
        server.kill()
        starts.append(server.start())
    load.wait_for(1)
    load.finish()
    ends = [len(a) for a in load.acknowledged]
    for ledger, _ in groups:
        until(lambda: ledger.wrong or ledger.committed == ends, f"all of {ends} is committed by the {ledger.name} group")
    server.kill()
    starts.append(server.start())
    for ledger, _ in groups:
        equal(ledger.wrong, [], f"what is wrong in the {ledger.name} group")
        equal([s == set(range(p, load.sent, PARTITIONS)) for p, s in enumerate(ledger.seen)], [True] * PARTITIONS, "everything was read")
        equal(committed(server.bootstrap, ledger), ends, f"what the {ledger.name} group has committed, after one more kill")
    server.kill()
    counts = ", ".join(f"{ledger.name}: {ledger.assignments} assignments, {ledger.commits} commits" for ledger, _ in groups)
    print(f"  seed {seed}: {load.sent} records, {len(starts)} kills; {counts}; ready after {max(starts):.3f} s at most")


def groups_outlive_restarts(ctx, program, ready_s):
    """Members go on after a clean stop of the broker, and those that come after one begin where the others have ended."""
    server = prepared(program, ctx.folder, SETTINGS)
    clients = [client(server.bootstrap) for client in (Confluent, ConfluentNextGeneration, Aiokafka, KafkaPython)]
    for first in (0, 20):
        values = write(clients[0], TOPIC, PARTITIONS, first, 10)
        members = [Member(client, Joining(f"group-{client.name}", (TOPIC,))) for client in clients]
        for member in members:
            given_out([member], values)
        commit(*members)
        equal(server.stop(), 0, "the exit status after SIGTERM")
        server.start()
        values += write(clients[0], TOPIC, PARTITIONS, first + 10, 10)
        for member in members:
            given_out([member], values)
        for member in members:
            until(lambda: committed_all(member, first + 20), "the offsets are committed")
            member.leave()
        equal(server.stop(), 0, "the exit status after SIGTERM")
        server.start()
    server.kill()


def committed_all(member, end):
    commit(member)
    return all(member.ask(lambda consumer: consumer.committed(TOPIC, p)) == end for p in range(PARTITIONS))


TESTS = [kill9_in_rebalances, groups_outlive_restarts]
