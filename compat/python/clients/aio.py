"""aiokafka: asyncio. Every writer and reader has an event loop of its own, which runs only inside a call."""
import asyncio

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import BrokerResponseError

from clients import Closing, HEARTBEAT_MS, LINGER_MS, MAX_REQUEST_BYTES, METADATA_MS, Refused, Seen
from sample import Record

TIMEOUT_S = 30


class Loop(Closing):
    """Runs coroutines one at a time; the refusals of the broker become `Refused`."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()

    def run(self, coroutine):
        try:
            return self.loop.run_until_complete(coroutine)
        except BrokerResponseError as e:
            raise Refused(e.errno, str(e)) from e

    def close(self):
        self.loop.close()


class Consuming(Loop):
    """Has a consumer, assigned or in a group."""

    def next(self, timeout):
        async def run():
            try:
                async with asyncio.timeout(timeout):
                    return await self.consumer.getone()
            except TimeoutError:
                return None

        message = self.run(run())
        if message is None:
            return None
        record = Record(message.key, message.value, message.timestamp, tuple(message.headers))
        return Seen(message.partition, message.offset, record, message.topic)

    def close(self):
        self.run(self.consumer.stop())
        super().close()


class Aiokafka:
    name = "aiokafka"
    cannot = ("cooperative_members_keep_their_partitions", "group_deleted", "group_offsets_altered", "group_offsets_deleted",
              "static_member_twice")  # a fenced member joins anew, and fences the other
    protocol, kind = "classic", "consumer"

    def __init__(self, bootstrap):
        self.bootstrap = bootstrap

    def with_admin(self, call):
        async def run():
            admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
            await admin.start()
            try:
                return await call(admin)
            finally:
                await admin.close()

        with Loop() as loop:
            return loop.run(run())

    def create_topic(self, name, partitions=1, configs=None):
        answer = self.with_admin(lambda admin: admin.create_topics([NewTopic(name, partitions, 1, topic_configs=configs or {})]))
        (topic,) = answer.to_object()["topic_errors"]
        if topic["error_code"]:
            raise Refused(topic["error_code"], topic["error_message"])

    def delete_topic(self, name):
        answer = self.with_admin(lambda admin: admin.delete_topics([name]))
        (topic,) = answer.to_object()["topic_error_codes"]
        if topic["error_code"]:
            raise Refused(topic["error_code"])

    def topics(self):
        return {t["topic"]: len(t["partitions"]) for t in self.with_admin(lambda admin: admin.describe_topics())}

    def broker_id(self):
        (broker,) = self.with_admin(lambda admin: admin.describe_cluster())["brokers"]
        return broker["node_id"]

    def configs(self, kind, name):
        resource = ConfigResource({"topic": ConfigResourceType.TOPIC, "broker": ConfigResourceType.BROKER}[kind], name)
        (answer,) = self.with_admin(lambda admin: admin.describe_configs([resource]))
        (found,) = answer.to_object()["resources"]
        if found["error_code"]:
            raise Refused(found["error_code"], found["error_message"])
        return {entry["config_names"]: entry["config_value"] for entry in found["config_entries"]}

    def writer(self, sending):
        return Writer(self.bootstrap, sending)

    def reader(self, topic, partitions=(0,), offset=0, wait_ms=500):
        return Reader(self.bootstrap, [TopicPartition(topic, p) for p in partitions], offset, wait_ms)

    def offset_at(self, topic, partition, timestamp):
        at = TopicPartition(topic, partition)
        with self.reader(topic, (partition,)) as reader:
            found = reader.run(reader.consumer.offsets_for_times({at: timestamp}))[at]
        return None if found is None else found.offset

    def ends(self, topic, partition):
        at = TopicPartition(topic, partition)
        with self.reader(topic, (partition,)) as reader:
            first = reader.run(reader.consumer.beginning_offsets([at]))[at]
            return first, reader.run(reader.consumer.end_offsets([at]))[at]

    def consumer(self, joining):
        return Member(self.bootstrap, joining)

    def groups(self):
        return dict(self.with_admin(lambda admin: admin.list_consumer_groups()))

    def group(self, group):
        (answer,) = self.with_admin(lambda admin: admin.describe_consumer_groups([group]))
        (found,) = answer.to_object()["groups"]
        if found["error_code"]:
            raise Refused(found["error_code"])
        return found["state"], len(found["members"])

    def offsets(self, group):
        found = self.with_admin(lambda admin: admin.list_consumer_group_offsets(group))
        return {(p.topic, p.partition): committed.offset for p, committed in found.items()}


class Writer(Loop):
    def __init__(self, bootstrap, sending):
        super().__init__()
        self.producer = self.run(self.started(bootstrap, sending))

    @staticmethod
    async def started(bootstrap, sending):
        acks = sending.acks if sending.acks == "all" else int(sending.acks)
        producer = AIOKafkaProducer(
            bootstrap_servers=bootstrap, compression_type=None if sending.codec == "none" else sending.codec, acks=acks,
            enable_idempotence=sending.idempotent, max_request_size=MAX_REQUEST_BYTES, linger_ms=LINGER_MS)
        await producer.start()
        return producer

    def send(self, topic, partition, records):
        async def run():
            sent = [await self.producer.send(topic, r.value, r.key, partition, r.timestamp, list(r.headers)) for r in records]
            async with asyncio.timeout(TIMEOUT_S):
                return [metadata.offset if metadata else -1 for metadata in await asyncio.gather(*sent)]

        return self.run(run())

    def close(self):
        self.run(self.producer.stop())
        super().close()


class Reader(Consuming):
    def __init__(self, bootstrap, partitions, offset, wait_ms):
        super().__init__()
        self.consumer = self.run(self.started(bootstrap, partitions, offset, wait_ms))

    @staticmethod
    async def started(bootstrap, partitions, offset, wait_ms):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest", check_crcs=True,
            fetch_max_wait_ms=wait_ms)
        consumer.assign(partitions)
        await consumer.start()
        for partition in partitions:
            consumer.seek(partition, offset)
        return consumer


class Member(Consuming):
    def __init__(self, bootstrap, joining):
        super().__init__()
        self.consumer = self.run(self.started(bootstrap, joining))

    @staticmethod
    async def started(bootstrap, joining):
        consumer = AIOKafkaConsumer(
            bootstrap_servers=bootstrap, group_id=joining.group, group_instance_id=joining.instance, auto_offset_reset="earliest",
            enable_auto_commit=joining.auto_commit_ms is not None, auto_commit_interval_ms=joining.auto_commit_ms or 5_000,
            heartbeat_interval_ms=HEARTBEAT_MS, metadata_max_age_ms=METADATA_MS, partition_assignment_strategy=(RangePartitionAssignor,))
        if joining.pattern:
            consumer.subscribe(pattern=joining.pattern)
        else:
            consumer.subscribe(joining.topics)
        await consumer.start()
        return consumer

    def owned(self):
        return {(p.topic, p.partition) for p in self.consumer.assignment()}

    def commit(self):
        self.run(self.consumer.commit())

    def commit_behind(self):
        self.behind = self.loop.create_task(self.consumer.commit())

    def committed(self, topic, partition):
        return self.run(self.consumer.committed(TopicPartition(topic, partition)))
