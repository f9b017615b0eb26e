"""Metrics and health over HTTP, of a real process with real traffic."""
import http.client
import json
import socket
import time
import urllib.parse

from checks import equal, take, until
from clients import Joining, Sending
from clients.confluent import Confluent, ConfluentNextGeneration
from groups import commit, given_out, of, write
from members import Member, shared
from sample import numbered
from server import Server, free_port

SILENT = 1000


class Watched:
    """A broker with an HTTP listener."""

    def __init__(self, program, folder, settings=()):
        self.port = free_port()
        self.server = Server(program, folder, (f"ottla.http.listener=127.0.0.1:{self.port}", *settings))

    def ask(self, path, method="GET"):
        """Status, headers and text."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read().decode()
        finally:
            connection.close()

    def samples(self):
        """What /metrics says: value by name and labels. Checks the form of the text."""
        status, headers, text = self.ask("/metrics")
        equal((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"), "the head")
        values, told = {}, set()
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                name = line.split(" ")[2]
                assert name not in told, f"{name} has two types"
                told.add(name)
            elif not line.startswith("#"):
                sample, value = line.rsplit(" ", 1)
                assert sample not in values, f"{sample} comes twice"
                name = sample.split("{")[0]
                assert name in told or name.removesuffix("_count") in told, f"{sample} has no type"
                values[sample] = float(value)
        return values


def produce(client, topic, partition, count):
    with client.writer(Sending()) as writer:
        writer.send(topic, partition, numbered(count))


def metrics_count_what_clients_do(ctx, program, ready_s):
    """Records and bytes in and out, requests, logs: exactly what a client has done, under the names that dashboards know."""
    watched = Watched(program, ctx.folder)
    watched.server.start()
    client, topic = Confluent(watched.server.bootstrap), ctx.topic()
    client.create_topic(topic, 2)
    produce(client, topic, 1, 1000)
    records = "kafka_server_brokertopicmetrics_messagesin_total"
    before = watched.samples()
    equal((before[records], before[f'{records}{{topic="{topic}"}}']), (1000, 1000), "records in")
    produce(client, topic, 0, 500)
    with client.reader(topic, (0, 1), 0) as reader:
        take(reader, 1500)
    after = watched.samples()
    equal(after[records] - before[records], 500, "more records in")
    of_topic = lambda name, labels="": after[f'kafka_{name}{{topic="{topic}"{labels}}}']
    equal([of_topic("log_log_logendoffset", f',partition="{n}"') for n in (0, 1)], [500, 1000], "ends")
    bytes_in = sum(of_topic("log_log_size", f',partition="{n}"') for n in (0, 1))
    equal(of_topic("server_brokertopicmetrics_bytesin_total"), bytes_in, "bytes in, and in the logs")
    assert of_topic("server_brokertopicmetrics_bytesout_total") >= bytes_in, "bytes out"
    equal(of_topic("cluster_partition_underreplicated", ',partition="0"'), 0, "under-replicated")
    for name, least in (("Produce", 2), ("Fetch", 1), ("FetchConsumer", 1), ("CreateTopics", 1), ("Metadata", 1)):
        count = after[f'kafka_network_requestmetrics_totaltimems_count{{request="{name}"}}']
        of_versions = sum(v for k, v in after.items() if k.startswith(f'kafka_network_requestmetrics_requests_total{{request="{name}"'))
        equal(count, of_versions, f"counts of {name}")
        assert count >= least, f"{count} of {name}"
        assert 0 <= after[f'kafka_network_requestmetrics_totaltimems{{request="{name}",quantile="0.99"}}'] < 60_000
    equal(after['kafka_network_requestmetrics_errors_total{request="CreateTopics",error="NONE"}'], 1, "topics made")
    for name in ("process_resident_memory_bytes", "process_cpu_seconds_total", "process_open_fds", "process_start_time_seconds"):
        assert after[name] > 0, name
    equal(after["kafka_server_kafkaserver_brokerstate"], 3, "the state")
    watched.server.stop()


def groups_are_explained(ctx, program, ready_s):
    """Who joined and left and what that has moved, and how far a group is behind, in both protocols; as JSON and as metrics."""
    watched = Watched(program, ctx.folder, ("group.initial.rebalance.delay.ms=0", "group.consumer.assignment.interval.ms=0"))
    watched.server.start()
    for client, kind in ((Confluent(watched.server.bootstrap), "classic"), (ConfluentNextGeneration(watched.server.bootstrap), "consumer")):
        topic, group = ctx.topic(), f"{kind} group/ü"
        client.create_topic(topic, 2)
        values = write(client, topic, 2, 0, 10)
        path = f"/groups/{urllib.parse.quote(group, safe='')}"
        equal(watched.ask(path)[0], 404 if kind == "consumer" else 503, "before there is such a group, and a coordinator")
        with Member(client, Joining(group, (topic,))) as stays:
            given_out([stays], values)
            commit(stays)
            with Member(client, Joining(group, (topic,))) as leaves:
                shared([stays, leaves], of(topic, 2))
            shared([stays], of(topic, 2))
            status, headers, text = watched.ask(path)
            equal((status, headers["content-type"]), (200, "application/json"), "the head")
            told = json.loads(text)
            equal((told["group"], told["type"], len(told["members"])), (group, kind, 1), "the group")
            reasons = [(reason["reason"], reason["host"]) for r in told["rebalances"] for reason in r["reasons"]]
            equal(reasons, [("joined", "127.0.0.1"), ("joined", "127.0.0.1"), ("left", "127.0.0.1")], "the reasons")
            equal([r["partitions_moved"] for r in told["rebalances"]], [2, 1, 1], "what has moved")
            assert all(r["epoch_before"] < r["epoch_after"] for r in told["rebalances"]), text
            assert all(r["idle_ms"] is not None and 0 <= r["idle_ms"] < 60_000 for r in told["rebalances"][1:]), text
            equal([(p["lag_messages"], p["lag_seconds"]) for p in told["partitions"]], [(0, 0), (0, 0)], "no lag")
        write(client, topic, 1, 10, 7)
        first, second = json.loads(watched.ask(path)[2])["partitions"]
        equal((first["committed_offset"], first["end_offset"], first["lag_messages"]), (10, 17, 7), "the lag")
        assert 0 <= first["lag_seconds"] < 60 and second["lag_seconds"] == 0, (first, second)
        labels = f'{{group="{group}",topic="{topic}",partition="0"}}'
        until(lambda: watched.samples().get(f"ottla_group_lag_messages{labels}") == 7, "the lag as a metric")
        assert 0 <= watched.samples()[f"ottla_group_lag_seconds{labels}"] < 60
    listed = {g["group"]: (g["type"], g["state"], g["members"], g["lag_messages"]) for g in json.loads(watched.ask("/groups")[2])["groups"]}
    equal(listed, {f"{kind} group/ü": (kind, "Empty", 0, 7) for kind in ("classic", "consumer")}, "the groups")
    equal(watched.ask("/groups/%ff")[0], 404, "an id that is none")
    watched.server.stop()


def http_is_there_and_modest(ctx, program, ready_s):
    """Pages, what is none, and clients that do not behave: they do not keep others out, and Kafka's clients do not notice."""
    watched = Watched(program, ctx.folder)
    watched.server.start()
    equal([watched.ask(path)[0] for path in ("/", "/healthz", "/readyz", "/elsewhere", "/metrics/x")], [200, 200, 200, 404, 404], "pages")
    equal([watched.ask("/metrics", method)[0] for method in ("POST", "DELETE", "HEAD")], [405, 405, 200], "methods")
    equal(watched.ask("/metrics", "POST")[1]["allow"], "GET, HEAD", "what is allowed")
    address = ("127.0.0.1", watched.port)
    silent = [socket.create_connection(address, 10) for _ in range(SILENT)]
    half = socket.create_connection(address, 10)
    half.sendall(b"GET /metrics HT")
    with socket.create_connection(address, 10) as large:
        try:
            large.sendall(b"GET / HTTP/1.1\r\nX: " + b"x" * (1 << 20))
            assert large.recv(1000).startswith((b"HTTP/1.1 431", b"")), "a large head"
        except ConnectionError:
            pass
    equal(watched.ask("/readyz")[0], 200, "with silent connections")
    assert watched.samples()["process_open_fds"] < 200, "silent connections are closed"
    client, topic = Confluent(watched.server.bootstrap), ctx.topic()
    client.create_topic(topic)
    produce(client, topic, 0, 10)
    for connection in (*silent, half):
        connection.close()
    equal(watched.server.stop(), 0, "the status")


def second_broker_says_that_the_port_is_taken(ctx, program, ready_s):
    """Two brokers with one HTTP address: the second does not start, and says why and what to do."""
    watched = Watched(program, ctx.folder)
    watched.server.start()
    other = Server(program, ctx.folder, (f"ottla.http.listener=127.0.0.1:{watched.port}", f"log.dirs={ctx.folder}/other"))
    try:
        other.start()
    except AssertionError:
        pass
    else:
        raise AssertionError("it starts")
    log = open(f"{ctx.folder}/server.log").read()
    assert f"cannot listen on 127.0.0.1:{watched.port} (ottla.http.listener): " in log, log[-500:]
    watched.server.stop()


def compaction_takes_no_more_of_the_disk_than_it_may(ctx, program, ready_s):
    """Compaction reads and writes as many bytes in a second as `log.cleaner.io.max.bytes.per.second` says."""
    rate, seconds = 50_000, 3
    watched = Watched(program, ctx.folder, (f"log.cleaner.io.max.bytes.per.second={rate}", "log.cleaner.backoff.ms=100"))
    watched.server.start()
    client, topic = Confluent(watched.server.bootstrap), ctx.topic()
    compacted = {"cleanup.policy": "compact", "internal.segment.bytes": "20000", "min.cleanable.dirty.ratio": "0.01"}
    client.create_topic(topic, 1, compacted)
    for _ in range(40):
        # Each of them is a batch or more: one that is larger than a second's share would be read at once.
        produce(client, topic, 0, 250)

    def taken():
        return watched.samples()["kafka_utils_throttler_cleaner_io_count"]

    until(taken, "compaction begins")
    began, first = time.monotonic(), taken()
    until(lambda: taken() - first > rate * seconds, "compaction goes on")
    took = time.monotonic() - began
    assert seconds * 0.8 < took < seconds * 2, f"{rate * seconds} bytes took {took} s"
    watched.server.stop()


TESTS = [
    metrics_count_what_clients_do, groups_are_explained, http_is_there_and_modest, second_broker_says_that_the_port_is_taken,
    compaction_takes_no_more_of_the_disk_than_it_may,
]
