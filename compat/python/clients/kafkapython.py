"""kafka-python: the oldest of the Python clients, pure Python."""
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.admin import ConfigResource, KafkaAdminClient
from kafka.errors import BrokerResponseError

from clients import Closing, LINGER_MS, MAX_REQUEST_BYTES, Refused, Seen
from sample import Record

TIMEOUT_S = 30


class KafkaPython:
    name = "kafka-python"
    cannot = ("null_header",)

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
