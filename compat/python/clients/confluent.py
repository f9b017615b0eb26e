"""confluent-kafka: librdkafka, the C client behind most languages.

Its consumer wants a `group.id` even when nothing joins a group; no coordinator is needed as long as it only assigns.
"""
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from clients import Closing, LINGER_MS, MAX_REQUEST_BYTES, Refused, Seen
from sample import Record

TIMEOUT_S = 30


def ask(future):
    """The result of an admin call."""
    try:
        return future.result(TIMEOUT_S)
    except KafkaException as e:
        raise Refused(e.args[0].code(), e.args[0].str()) from e


class Confluent:
    name = "confluent-kafka"
    cannot = ()

    def __init__(self, bootstrap):
        self.common = {"bootstrap.servers": bootstrap}
        self.admin = AdminClient(self.common)

    def create_topic(self, name, partitions=1, configs=None):
        ask(self.admin.create_topics([NewTopic(name, partitions, 1, config=configs or {})])[name])

    def delete_topic(self, name):
        ask(self.admin.delete_topics([name])[name])

    def topics(self):
        return {name: len(t.partitions) for name, t in self.admin.list_topics(timeout=TIMEOUT_S).topics.items()}

    def broker_id(self):
        (broker,) = self.admin.list_topics(timeout=TIMEOUT_S).brokers
        return broker

    def configs(self, kind, name):
        resource = ConfigResource({"topic": ConfigResource.Type.TOPIC, "broker": ConfigResource.Type.BROKER}[kind], name)
        return {key: entry.value for key, entry in ask(self.admin.describe_configs([resource])[resource]).items()}

    def writer(self, sending):
        return Writer(self.common, sending)

    def reader(self, topic, partitions=(0,), offset=0, wait_ms=500):
        return Reader(self.common, [TopicPartition(topic, p, offset) for p in partitions], wait_ms)

    def offset_at(self, topic, partition, timestamp):
        with self.reader(topic, ()) as reader:
            (found,) = reader.consumer.offsets_for_times([TopicPartition(topic, partition, timestamp)], TIMEOUT_S)
        return found.offset if found.offset >= 0 else None

    def ends(self, topic, partition):
        with self.reader(topic, ()) as reader:
            return reader.consumer.get_watermark_offsets(TopicPartition(topic, partition), TIMEOUT_S)


class Writer(Closing):
    def __init__(self, common, sending):
        self.producer = Producer(common | {
            "compression.type": sending.codec, "acks": sending.acks, "enable.idempotence": sending.idempotent,
            "message.max.bytes": MAX_REQUEST_BYTES, "linger.ms": LINGER_MS})

    def send(self, topic, partition, records):
        offsets, errors = [], []

        def report(error, message):
            errors.append(error) if error else offsets.append(message.offset())

        for r in records:
            chosen = {} if partition is None else {"partition": partition}
            time = {} if r.timestamp is None else {"timestamp": r.timestamp}
            self.producer.produce(topic, r.value, r.key, headers=list(r.headers), on_delivery=report, **chosen, **time)
        left = self.producer.flush(TIMEOUT_S)
        if errors:
            raise Refused(errors[0].code(), errors[0].str())
        assert left == 0, f"{left} records got no answer in {TIMEOUT_S} s"
        return offsets

    def close(self):
        self.producer.flush(TIMEOUT_S)


class Reader(Closing):
    def __init__(self, common, partitions, wait_ms):
        self.consumer = Consumer(common | {
            "group.id": "unused", "enable.auto.commit": False, "auto.offset.reset": "earliest", "check.crcs": True,
            "fetch.wait.max.ms": wait_ms, "socket.timeout.ms": 60_000})
        if partitions:
            self.consumer.assign(partitions)

    def next(self, timeout):
        message = self.consumer.poll(timeout)
        if message is None:
            return None
        if message.error():
            raise Refused(message.error().code(), message.error().str())
        record = Record(message.key(), message.value(), message.timestamp()[1], tuple(message.headers() or ()))
        return Seen(message.partition(), message.offset(), record)

    def close(self):
        self.consumer.close()
