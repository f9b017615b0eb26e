"""confluent-kafka: librdkafka, the C client behind most languages.

Its consumer wants a `group.id` even when nothing joins a group; no coordinator is needed as long as it only assigns.
"""
from confluent_kafka import Consumer, ConsumerGroupTopicPartitions, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ConfigResource, NewTopic

from clients import Closing, HEARTBEAT_MS, LINGER_MS, MAX_REQUEST_BYTES, METADATA_MS, Refused, Seen
from sample import Record

TIMEOUT_S = 30
FATAL = (KafkaError.FENCED_INSTANCE_ID, KafkaError.UNRELEASED_INSTANCE_ID)


def ask(future):
    """The result of an admin call."""
    return refusing(lambda: future.result(TIMEOUT_S))


def refusing(call):
    try:
        return call()
    except KafkaException as e:
        raise refusal(e.args[0]) from e


def refusal(error):
    """A fatal error hides its code behind another; only its text tells it."""
    fatal = [code for code in FATAL if error.code() == KafkaError._FATAL and KafkaError(code).str() in error.str()]
    return Refused(fatal[0] if fatal else error.code(), error.str())


class Confluent:
    name = "confluent-kafka"
    cannot = ("group_offsets_deleted",)
    protocol = kind = "classic"

    def __init__(self, bootstrap):
        self.common = {"bootstrap.servers": bootstrap, "log_level": 0}
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


    def consumer(self, joining):
        return Member(self.common, joining, self.protocol)

    def groups(self):
        return {g.group_id: g.type.name.lower() for g in ask(self.admin.list_consumer_groups()).valid}

    def group(self, group):
        described = ask(self.admin.describe_consumer_groups([group])[group])
        return described.state.name.replace("_", " ").title().replace(" ", ""), len(described.members)

    def delete_group(self, group):
        ask(self.admin.delete_consumer_groups([group])[group])

    def offsets(self, group):
        answer = ask(self.admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)])[group])
        return {(p.topic, p.partition): p.offset for p in answer.topic_partitions}

    def alter_offsets(self, group, offsets, metadata=""):
        wanted = [TopicPartition(topic, p, offset, metadata) for (topic, p), offset in offsets.items()]
        answer = ask(self.admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, wanted)])[group])
        for partition in answer.topic_partitions:
            if partition.error:
                raise refusal(partition.error)


class ConfluentNextGeneration(Confluent):
    """The same client, whose members of groups speak KIP-848."""
    name = "confluent-kafka-848"
    cannot = Confluent.cannot + ("cooperative_members_keep_their_partitions",)
    protocol = kind = "consumer"


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


class Member(Closing):
    def __init__(self, common, joining, protocol):
        settings = common | {
            "group.id": joining.group, "group.protocol": protocol, "auto.offset.reset": "earliest",
            "enable.auto.commit": joining.auto_commit_ms is not None, "topic.metadata.refresh.interval.ms": METADATA_MS}
        if joining.auto_commit_ms is not None:
            settings["auto.commit.interval.ms"] = joining.auto_commit_ms
        if joining.instance is not None:
            settings["group.instance.id"] = joining.instance
        if protocol == "classic":
            settings["heartbeat.interval.ms"] = HEARTBEAT_MS
            settings["partition.assignment.strategy"] = "cooperative-sticky" if joining.cooperative else "range"
        self.consumer, self.given_up = Consumer(settings), set()
        self.consumer.subscribe([joining.pattern] if joining.pattern else list(joining.topics), on_revoke=self.on_revoke)

    def on_revoke(self, _, partitions):
        self.given_up |= {(p.topic, p.partition) for p in partitions}

    def next(self, timeout):
        message = self.consumer.poll(timeout)
        if message is None:
            return None
        if message.error():
            raise refusal(message.error())
        record = Record(message.key(), message.value(), message.timestamp()[1], tuple(message.headers() or ()))
        return Seen(message.partition(), message.offset(), record, message.topic())

    def owned(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self):
        try:
            self.consumer.commit(asynchronous=False)
        except KafkaException as e:
            if e.args[0].code() != KafkaError._NO_OFFSET:  # nothing was handed out
                raise refusal(e.args[0]) from e

    def commit_behind(self):
        self.consumer.commit(asynchronous=True)

    def committed(self, topic, partition):
        (found,) = refusing(lambda: self.consumer.committed([TopicPartition(topic, partition)], TIMEOUT_S))
        return found.offset if found.offset >= 0 else None

    def close(self):
        self.consumer.close()
