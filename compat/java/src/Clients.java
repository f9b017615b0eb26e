import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.InvalidTopicException;
import org.apache.kafka.common.errors.RecordTooLargeException;
import org.apache.kafka.common.errors.TopicExistsException;
import org.apache.kafka.common.errors.UnknownTopicOrPartitionException;

/** kafka-clients, the client that the protocol was made for. Consumers assign; there are no groups. */
final class Clients extends Calls {
    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("java.cluster", Clients::cluster),
        new Compat.Test("java.create_and_delete", Clients::createAndDelete),
        new Compat.Test("java.bad_topics", Clients::badTopics),
        new Compat.Test("java.configs", Clients::configs),
        new Compat.Test("java.auto_create", Clients::autoCreate),
        new Compat.Test("java.sample_in_every_codec", Clients::sampleInEveryCodec),
        new Compat.Test("java.reads_confluent-kafka", c -> readsSampleOf("confluent-kafka", c)),
        new Compat.Test("java.reads_aiokafka", c -> readsSampleOf("aiokafka", c)),
        new Compat.Test("java.reads_kafka-python", c -> readsSampleOf("kafka-python", c)),
        new Compat.Test("java.acks", Clients::acks),
        new Compat.Test("java.idempotent_order", Clients::idempotentOrder),
        new Compat.Test("java.partitions_in_order", Clients::partitionsInOrder),
        new Compat.Test("java.one_mebibyte", Clients::oneMebibyte),
        new Compat.Test("java.too_large", Clients::tooLarge),
        new Compat.Test("java.list_offsets", Clients::listOffsets),
        new Compat.Test("java.seek_by_time", Clients::seekByTime),
        new Compat.Test("java.beyond_the_end", Clients::beyondTheEnd),
        new Compat.Test("java.long_poll_wakes", Clients::longPollWakes),
        new Compat.Test("java.idle_fetch_waits", Clients::idleFetchWaits));

    private static final Map<String, String> KEEP = Map.of("retention.ms", "-1"); // for records of a time long past

    // The checks

    /** One broker, which is the controller, with an address and a cluster id. */
    private static void cluster(Compat.Context c) throws Exception {
        try (Admin admin = admin(c)) {
            var found = admin.describeCluster();
            Compat.equal(get(found.nodes()).size(), 1, "the number of brokers");
            Compat.equal(get(found.controller()).id(), get(found.nodes()).iterator().next().id(), "the controller");
            Compat.equal(get(found.clusterId()).length(), 22, "the length of the cluster id");
        }
    }

    /** A created topic is there at once with partitions and id, a second of the name is refused; a deleted one is gone. */
    private static void createAndDelete(Compat.Context c) throws Exception {
        try (Admin admin = admin(c)) {
            create(admin, c.topic(), 3, Map.of());
            var described = get(admin.describeTopics(Set.of(c.topic())).allTopicNames()).get(c.topic());
            Compat.equal(described.partitions().size(), 3, "the number of partitions");
            Compat.equal(described.topicId().toString().length(), 22, "the length of the topic id");
            Compat.check(get(admin.listTopics().names()).contains(c.topic()), "the topic is not listed");
            refused(TopicExistsException.class, () -> create(admin, c.topic(), 1, Map.of()));
            get(admin.deleteTopics(Set.of(c.topic())).all());
            Compat.check(!get(admin.listTopics().names()).contains(c.topic()), "the deleted topic is still listed");
            refused(UnknownTopicOrPartitionException.class, () -> get(admin.deleteTopics(Set.of(c.topic())).all()));
            refused(UnknownTopicOrPartitionException.class, () -> get(admin.describeTopics(Set.of(c.topic())).allTopicNames()));
        }
    }

    private static void badTopics(Compat.Context c) throws Exception {
        try (Admin admin = admin(c)) {
            refused(InvalidTopicException.class, () -> create(admin, "a/b", 1, Map.of()));
            refused(InvalidConfigurationException.class, () -> create(admin, c.topic(), 1, Map.of("retention.ms", "soon")));
            refused(InvalidConfigurationException.class, () -> create(admin, c.topic(), 1, Map.of("no.such.key", "1")));
            Compat.check(!get(admin.listTopics().names()).contains(c.topic()), "a refused topic is listed");
        }
    }

    /** Topic and broker configs with value, source, type, synonyms and documentation. */
    private static void configs(Compat.Context c) throws Exception {
        try (Admin admin = admin(c)) {
            create(admin, c.topic(), 1, Map.of("segment.bytes", "2000000"));
            Config topic = configs(admin, new ConfigResource(ConfigResource.Type.TOPIC, c.topic()));
            ConfigEntry own = topic.get("segment.bytes");
            Compat.equal(own.value(), "2000000", "the topic's segment.bytes");
            Compat.equal(own.source(), ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, "its source");
            Compat.equal(own.type(), ConfigEntry.ConfigType.INT, "its type");
            Compat.check(own.documentation() != null && !own.documentation().isEmpty(), "segment.bytes has no documentation");
            Compat.equal(own.synonyms().stream().map(ConfigEntry.ConfigSynonym::name).toList(),
                List.of("segment.bytes", "log.segment.bytes"), "its synonyms");
            Compat.equal(topic.get("retention.ms").source(), ConfigEntry.ConfigSource.DEFAULT_CONFIG, "the source of a default");
            String id = String.valueOf(get(admin.describeCluster().controller()).id());
            Config broker = configs(admin, new ConfigResource(ConfigResource.Type.BROKER, id));
            Compat.equal(broker.get("message.max.bytes").value(), "1048588", "the broker's message.max.bytes");
            Compat.equal(broker.get("message.max.bytes").isReadOnly(), false, "message.max.bytes is read-only");
            Compat.equal(broker.get("socket.request.max.bytes").isReadOnly(), true, "socket.request.max.bytes is read-only");
        }
    }

    private static void autoCreate(Compat.Context c) throws Exception {
        try (var producer = producer(c, Map.of())) {
            Compat.equal(get(producer.send(new ProducerRecord<>(c.topic(), "k".getBytes(), "v".getBytes()))).offset(), 0L, "the offset");
            Compat.equal(producer.partitionsFor(c.topic()).size(), 1, "the number of partitions");
        }
    }

    /** Keys, values, nulls, times and headers come back unchanged from every codec; the topic stays for the other clients. */
    private static void sampleInEveryCodec(Compat.Context c) throws Exception {
        String topic = Sample.topicOf("java", c.run());
        List<Sample.Line> lines = Sample.load(c.sample());
        try (Admin admin = admin(c)) {
            create(admin, topic, Sample.CODECS.size(), KEEP);
        }
        for (int partition = 0; partition < Sample.CODECS.size(); partition++) {
            int at = partition;
            try (var producer = producer(c, Map.of("compression.type", Sample.CODECS.get(at)))) {
                send(producer, lines.stream().map(line -> line.to(topic, at)).toList());
            }
        }
        readsSampleOf("java", c);
    }

    private static void readsSampleOf(String client, Compat.Context c) throws Exception {
        String topic = Sample.topicOf(client, c.run());
        try (Admin admin = admin(c)) {
            if (!get(admin.listTopics().names()).contains(topic)) {
                throw new Compat.Skip(client + " has left no sample under this --run");
            }
        }
        List<Sample.Line> lines = Sample.load(c.sample());
        for (int partition = 0; partition < Sample.CODECS.size(); partition++) {
            List<Sample.Line> seen = read(c, topic, partition, lines.size()).stream().map(Sample.Line::of).toList();
            for (int i = 0; i < lines.size(); i++) {
                Compat.equal(seen.get(i), lines.get(i), "record " + i + " with codec " + Sample.CODECS.get(partition));
            }
        }
    }

    private static void acks(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        long next = 0;
        for (String acks : List.of("0", "1", "all")) {
            try (var producer = producer(c, Map.of("acks", acks, "enable.idempotence", "false"))) {
                List<Long> offsets = send(producer, numbered(c.topic(), 0, 10)).stream().map(RecordMetadata::offset).toList();
                long first = next;
                var want = IntStream.range(0, 10).mapToObj(n -> acks.equals("0") ? -1L : first + n).toList();
                Compat.equal(offsets, want, "the offsets of acks=" + acks);
            }
            next += 10;
            Compat.equal(read(c, c.topic(), 0, (int) next).size(), (int) next, "the records after acks=" + acks);
        }
    }

    /** 5,000 records in small batches, five requests in flight, are stored once and in order. */
    private static void idempotentOrder(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var producer = producer(c, Map.of("acks", "all", "enable.idempotence", "true", "batch.size", "500"))) {
            send(producer, numbered(c.topic(), 0, 5_000));
        }
        Compat.equal(values(read(c, c.topic(), 0, 5_000)), IntStream.range(0, 5_000).mapToObj(String::valueOf).toList(), "the values");
    }

    private static void partitionsInOrder(Compat.Context c) throws Exception {
        create(c, 4, Map.of());
        List<ProducerRecord<byte[], byte[]>> records = new ArrayList<>();
        for (int n = 0; n < 500; n++) {
            for (int partition = 0; partition < 4; partition++) {
                records.add(new ProducerRecord<>(c.topic(), partition, null, (partition + "/" + n).getBytes()));
            }
        }
        try (var producer = producer(c, Map.of()); var reader = reader(c, Map.of())) {
            send(producer, records);
            reader.consumer().assign(IntStream.range(0, 4).mapToObj(p -> new TopicPartition(c.topic(), p)).toList());
            var seen = take(reader.consumer(), 2_000);
            for (int partition = 0; partition < 4; partition++) {
                int at = partition;
                Compat.equal(values(seen.stream().filter(r -> r.partition() == at).toList()),
                    IntStream.range(0, 500).mapToObj(n -> at + "/" + n).toList(), "the values of partition " + at);
            }
        }
    }

    private static void oneMebibyte(Compat.Context c) throws Exception {
        create(c, 1, Map.of("max.message.bytes", "2000000"));
        byte[] value = noise(1 << 20);
        try (var producer = producer(c, Map.of())) {
            send(producer, List.of(new ProducerRecord<>(c.topic(), 0, null, value), new ProducerRecord<>(c.topic(), 0, null, value)));
        }
        for (var record : read(c, c.topic(), 0, 2)) {
            Compat.check(Arrays.equals(record.value(), value), "the value has changed");
        }
    }

    private static void tooLarge(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var producer = producer(c, Map.of())) {
            refused(RecordTooLargeException.class, () -> send(producer, List.of(new ProducerRecord<>(c.topic(), 0, null, noise(1 << 20)))));
            Compat.equal(send(producer, numbered(c.topic(), 0, 1)).get(0).offset(), 0L, "the offset of the record behind it");
        }
    }

    /** Earliest, latest, that of the largest timestamp, and by time, through the admin client. */
    private static void listOffsets(Compat.Context c) throws Exception {
        create(c, 1, KEEP);
        long start = 1_700_000_000_000L;
        try (var producer = producer(c, Map.of()); Admin admin = admin(c)) {
            for (long n : new long[] {0, 1, 9, 2, 3}) {
                send(producer, List.of(new ProducerRecord<>(c.topic(), 0, start + n, null, "v".getBytes())));
            }
            Compat.equal(offset(admin, c, OffsetSpec.earliest()), 0L, "the earliest offset");
            Compat.equal(offset(admin, c, OffsetSpec.latest()), 5L, "the latest offset");
            Compat.equal(offset(admin, c, OffsetSpec.maxTimestamp()), 2L, "the offset of the largest timestamp");
            Compat.equal(offset(admin, c, OffsetSpec.forTimestamp(start + 1)), 1L, "the offset of a record's timestamp");
            Compat.equal(offset(admin, c, OffsetSpec.forTimestamp(start + 4)), 2L, "the offset of a time between");
            Compat.equal(offset(admin, c, OffsetSpec.forTimestamp(start + 10)), -1L, "the offset of a time after the last");
        }
    }

    private static void seekByTime(Compat.Context c) throws Exception {
        create(c, 1, KEEP);
        long start = 1_700_000_000_000L;
        TopicPartition at = new TopicPartition(c.topic(), 0);
        try (var producer = producer(c, Map.of("linger.ms", "20")); var reader = reader(c, Map.of())) {
            send(producer, IntStream.range(0, 200)
                .mapToObj(n -> new ProducerRecord<byte[], byte[]>(c.topic(), 0, start + n * 1000L, null, "v".getBytes())).toList());
            reader.consumer().assign(List.of(at));
            long offset = reader.consumer().offsetsForTimes(Map.of(at, start + 76_001)).get(at).offset();
            Compat.equal(offset, 77L, "the offset found");
            reader.consumer().seek(at, offset);
            Compat.equal(take(reader.consumer(), 1).get(0).timestamp(), start + 77_000, "the time of the record read there");
            Compat.equal(reader.consumer().beginningOffsets(List.of(at)).get(at), 0L, "the first offset");
            Compat.equal(reader.consumer().endOffsets(List.of(at)).get(at), 200L, "the end");
        }
    }

    private static void beyondTheEnd(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var producer = producer(c, Map.of()); var reader = reader(c, Map.of())) {
            send(producer, numbered(c.topic(), 0, 5));
            reader.consumer().assign(List.of(new TopicPartition(c.topic(), 0)));
            reader.consumer().seek(new TopicPartition(c.topic(), 0), 1_000);
            Compat.equal(take(reader.consumer(), 1).get(0).offset(), 0L, "the first offset after the reset to the earliest");
        }
    }

    /**
     * A consumer that may wait 10 s at the end of the log gets a new record at once. The consumer sends its next fetch before it
     * hands out a record, so from the second round on the fetch nearly always waits already.
     */
    private static void longPollWakes(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var producer = producer(c, Map.of()); var reader = reader(c, Map.of("fetch.max.wait.ms", "10000"))) {
            reader.consumer().assign(List.of(new TopicPartition(c.topic(), 0)));
            for (int n = 0; n < 10; n++) {
                var sent = CompletableFuture.supplyAsync(() -> {
                    long now = System.nanoTime();
                    producer.send(new ProducerRecord<>(c.topic(), 0, null, "v".getBytes()));
                    return now;
                });
                Compat.equal(take(reader.consumer(), 1).get(0).offset(), (long) n, "the offset");
                double took = (System.nanoTime() - sent.get()) / 1e9;
                Compat.check(took < 5, String.format("record %d came %.1f s after it was sent", n, took));
            }
        }
    }

    /** Fetches at the end of the log wait their 500 ms: two seconds take a handful of them, not thousands. */
    private static void idleFetchWaits(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var reader = reader(c, Map.of("fetch.max.wait.ms", "500"))) {
            reader.consumer().assign(List.of(new TopicPartition(c.topic(), 0)));
            long end = System.nanoTime() + 2_000_000_000L;
            while (System.nanoTime() < end) {
                Compat.equal(reader.consumer().poll(Duration.ofMillis(100)).count(), 0, "the number of records");
            }
            double fetches = reader.consumer().metrics().entrySet().stream()
                .filter(m -> m.getKey().name().equals("fetch-total")).mapToDouble(m -> (double) m.getValue().metricValue()).sum();
            Compat.check(1 <= fetches && fetches <= 10, fetches + " fetches in two seconds");
        }
    }
}
