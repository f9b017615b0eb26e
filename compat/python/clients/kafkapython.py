"""kafka-python: the oldest of the Python clients, pure Python."""
from kafka import ConsumerRebalanceListener, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition, errors
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.coordinator.assignors.cooperative_sticky import CooperativeStickyAssignor
from kafka.coordinator.assignors.range import RangePartitionAssignor
from kafka.errors import BrokerResponseError

from clients import Closing, HEARTBEAT_MS, LINGER_MS, MAX_REQUEST_BYTES, METADATA_MS, Refused, Seen
from sample import Record

TIMEOUT_S = 30


class KafkaPython:
    name = "kafka-python"
    cannot = ("null_header",)
    protocol, kind = "classic", "classic"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def with_admin(self, call):
        with KafkaAdminClient(bootstrap_servers=self.bootstrap) as admin:
            return refusing(lambda: call(admin))

    def create_topic(self, name, partitions=1, configs=None):
        wanted = {name: {"num_partitions": partitions, "replication_factor": 1, "configs": configs or {}}}
        self.with_admin(lambda admin: admin.create_topics(wanted))

    def delete_topic(self, name):
        self.with_admin(lambda admin: admin.delete_topics([name]))

    def topics(self):
        return {t["name"]: len(t["partitions"]) for t in self.with_admin(lambda admin: admin.describe_topics())}

    def broker_id(self):
        (broker,) = self.with_admin(lambda admin: admin.describe_cluster())["brokers"]
        return broker["broker_id"]

    def configs(self, kind, name):
        resource = ConfigResource(kind.upper(), name)
        found = self.with_admin(lambda admin: admin.describe_configs([resource], config_filter="all"))
        return {key: entry["value"] for key, entry in found[kind][name].items()}

    def writer(self, sending):
        return Writer(self.bootstrap, sending)

    def reader(self, topic, partitions=(0,), offset=0, wait_ms=500):
        return Reader(self.bootstrap, [TopicPartition(topic, p) for p in partitions], offset, wait_ms)

    def offset_at(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        with self.reader(topic, (partition,)) as reader:
            found = refusing(lambda: reader.consumer.offsets_for_times({at: timestamp}))[at]
        return None if found is None else found.offset

    def ends(self, topic, partition):
        at = TopicPartition(topic, partition)
        with self.reader(topic, (partition,)) as reader:
            first = refusing(lambda: reader.consumer.beginning_offsets([at]))[at]
            return first, refusing(lambda: reader.consumer.end_offsets([at]))[at]


    def consumer(self, joining):
        return Member(self.bootstrap, joining)

    def groups(self):
        return {g["group_id"]: g["group_type"] for g in self.with_admin(lambda admin: admin.list_groups())}

    def group(self, group):
        found = self.with_admin(lambda admin: admin.describe_groups([group]))[group]
        if found["error"]:
            raise Refused(named(found["error"].split("]")[-1].strip().split(":")[0]).errno, found["error"])
        return found["group_state"], len(found["members"])

    def delete_group(self, group):
        accepted(named(self.with_admin(lambda admin: admin.delete_groups([group]))[group]))

    def offsets(self, group):
        found = self.with_admin(lambda admin: admin.list_group_offsets(group))[group]
        return {(p.topic, p.partition): committed.offset for p, committed in found.items()}

    def alter_offsets(self, group, offsets, metadata=""):
        wanted = {TopicPartition(*at): OffsetAndMetadata(offset, metadata, -1) for at, offset in offsets.items()}
        for answer in self.with_admin(lambda admin: admin.alter_group_offsets(group, wanted)).values():
            accepted(answer)

    def delete_offsets(self, group, partitions):
        wanted = [TopicPartition(*at) for at in partitions]
        for answer in self.with_admin(lambda admin: admin.delete_group_offsets(group, wanted)).values():
            accepted(answer)


def named(error):
    """The class of an error that the client gives by its name."""
    return errors.NoError if error == "OK" else getattr(errors, error)


def accepted(error):
    if error is not errors.NoError:
        raise Refused(error.errno, error.__name__)


def refusing(call):
    try:
        return call()
    except BrokerResponseError as e:
        raise Refused(e.errno, str(e)) from e


class Writer(Closing):
    def __init__(self, bootstrap, sending):
        acks = sending.acks if sending.acks == "all" else int(sending.acks)
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap, compression_type=None if sending.codec == "none" else sending.codec, acks=acks,
            enable_idempotence=sending.idempotent, max_request_size=MAX_REQUEST_BYTES, linger_ms=LINGER_MS)

    def send(self, topic, partition, records):
        sent = [self.producer.send(topic, r.value, r.key, list(r.headers), partition, r.timestamp) for r in records]
        self.producer.flush(TIMEOUT_S)
        return [refusing(lambda: future.get(TIMEOUT_S)).offset for future in sent]

    def close(self):
        self.producer.close(TIMEOUT_S)


class Reader(Closing):
    def __init__(self, bootstrap, partitions, offset, wait_ms):
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=True,
            fetch_max_wait_ms=wait_ms)
        self.consumer.assign(partitions)
        for partition in partitions:
            self.consumer.seek(partition, offset)

    def next(self, timeout):
        for messages in refusing(lambda: self.consumer.poll(timeout * 1000, max_records=1)).values():
            for m in messages:
                return Seen(m.partition, m.offset, Record(m.key, m.value, m.timestamp, tuple(m.headers)))
        return None

    def close(self):
        self.consumer.close()


class Member(Closing, ConsumerRebalanceListener):
    def __init__(self, bootstrap, joining):
        assignor = CooperativeStickyAssignor if joining.cooperative else RangePartitionAssignor
        self.consumer = KafkaConsumer(
            bootstrap_servers=bootstrap, group_id=joining.group, group_instance_id=joining.instance, auto_offset_reset="earliest",
            enable_auto_commit=joining.auto_commit_ms is not None, auto_commit_interval_ms=joining.auto_commit_ms or 5_000,
            heartbeat_interval_ms=HEARTBEAT_MS, metadata_max_age_ms=METADATA_MS, partition_assignment_strategy=[assignor])
        self.given_up = set()
        self.consumer.subscribe(joining.topics, joining.pattern, self)

    def on_partitions_revoked(self, revoked):
        self.given_up |= {(p.topic, p.partition) for p in revoked}

    def on_partitions_assigned(self, assigned):
        pass

    def next(self, timeout):
        found = refusing(lambda: self.consumer.poll(timeout * 1000, max_records=1))
        if self.consumer._coordinator.rejoining:
            self.consumer._coordinator.request_rejoin()  # or 3.0.12 forgets a join that ends between two polls
        for messages in found.values():
            for m in messages:
                return Seen(m.partition, m.offset, Record(m.key, m.value, m.timestamp, tuple(m.headers)), m.topic)
        return None

    def owned(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self):
        refusing(lambda: self.consumer.commit(timeout_ms=TIMEOUT_S * 1000))

    def commit_behind(self):
        self.consumer.commit_async()

    def committed(self, topic, partition):
        return refusing(lambda: self.consumer.committed(TopicPartition(topic, partition)))

    def close(self):
        self.consumer.close()
