import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.ScramCredentialInfo;
import org.apache.kafka.clients.admin.ScramMechanism;
import org.apache.kafka.clients.admin.UserScramCredentialUpsertion;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.TopicPartitionReplica;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.quota.ClientQuotaAlteration;
import org.apache.kafka.common.quota.ClientQuotaEntity;
import org.apache.kafka.common.quota.ClientQuotaFilter;

/** What is in a directory: put there through whoever serves it, and found again through whoever does next. */
final class Contents {
    private static final ConfigResource BROKERS = new ConfigResource(ConfigResource.Type.BROKER, "");
    private static final ConfigResource BROKER = new ConfigResource(ConfigResource.Type.BROKER, "1");
    private static final ConfigResource GROUP = new ConfigResource(ConfigResource.Type.GROUP, "consumer");
    private static final ConfigResource CLIENT_METRICS = new ConfigResource(ConfigResource.Type.CLIENT_METRICS, "subscription");
    private static final ClientQuotaEntity QUOTA = new ClientQuotaEntity(Map.of(ClientQuotaEntity.USER, "alice"));

    /** Values by topic, in order of their offsets. */
    private final Map<String, List<String>> values = new TreeMap<>();
    /** First offsets that are not 0. */
    private final Map<String, Long> firsts = new HashMap<>();
    private final Map<String, Uuid> ids = new HashMap<>();
    private final Map<ConfigResource, Map<String, String>> configs = new HashMap<>();
    private final Map<String, Map<TopicPartition, Long>> commits = new HashMap<>();
    private List<String> producers = List.of();

    /** What only Kafka makes. */
    void begin(Nodes.Node node) throws Exception {
        try (Admin admin = node.admin()) {
            create(admin, "deleted", Map.of());
            create(admin, "compacted", Map.of("cleanup.policy", "compact", "segment.bytes", "1048576"));
            send(node, "deleted", "kafka", Map.of());
            TopicPartition partition = new TopicPartition("deleted", 0);
            Calls.get(admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(7))).all());
            values.get("deleted").subList(0, 7).clear();
            firsts.put("deleted", 7L);
            set(admin, BROKERS, "log.cleaner.io.buffer.size", "600000");
            set(admin, BROKER, "background.threads", "9");
            set(admin, GROUP, "consumer.session.timeout.ms", "50000");
            set(admin, CLIENT_METRICS, "match", "client_id=a.*");
            var credential = new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096);
            Calls.get(admin.alterUserScramCredentials(List.of(new UserScramCredentialUpsertion("alice", credential, "secret"))).all());
            var limit = new ClientQuotaAlteration.Op("producer_byte_rate", 1e6);
            Calls.get(admin.alterClientQuotas(List.of(new ClientQuotaAlteration(QUOTA, List.of(limit)))).all());
        }
    }

    /** More of what both make, under names that tell who did. */
    void add(Nodes.Node node, String by) throws Exception {
        try (Admin admin = node.admin()) {
            for (String topic : List.of("plain", "packed")) {
                if (!ids.containsKey(topic)) {
                    create(admin, topic, Map.of("retention.ms", "-1"));
                }
            }
            for (String topic : List.of("-a", "-b", "-c")) {
                create(admin, by + topic, Map.of("max.message.bytes", "100000"));
            }
            send(node, "plain", by, Map.of("enable.idempotence", "false"));
            send(node, "packed", by, Map.of("compression.type", "zstd"));
            send(node, by + "-a", by, Map.of("compression.type", "lz4", "enable.idempotence", "false"));
            if (ids.containsKey("compacted")) {
                send(node, "compacted", by, Map.of());
            }
            for (String protocol : List.of("classic", "consumer")) {
                commit(node, protocol);
            }
            producers = producers(admin);
        }
    }

    /** Everything is there. */
    void check(Nodes.Node node) throws Exception {
        try (Admin admin = node.admin()) {
            var topics = Calls.get(admin.describeTopics(values.keySet()).allTopicNames());
            ids.forEach((topic, id) -> Compat.equal(topics.get(topic).topicId(), id, "the id of " + topic));
            for (String topic : values.keySet()) {
                checkRecords(node, admin, topic);
            }
            var described = Calls.get(admin.describeConfigs(configs.keySet()).all());
            configs.forEach((resource, expected) -> expected.forEach((key, value) ->
                Compat.equal(described.get(resource).get(key).value(), value, key + " of " + resource)));
            Compat.equal(producers(admin), producers, "the producers");
            for (var group : commits.entrySet()) {
                var offsets = Calls.get(admin.listConsumerGroupOffsets(group.getKey()).partitionsToOffsetAndMetadata());
                Map<TopicPartition, Long> found = new HashMap<>();
                offsets.forEach((partition, offset) -> found.put(partition, offset.offset()));
                Compat.equal(found, group.getValue(), "the offsets of group " + group.getKey());
            }
        }
    }

    void create(Nodes.Node node, String topic) throws Exception {
        try (Admin admin = node.admin()) {
            create(admin, topic, Map.of());
        }
    }

    /** A replica of 3 MiB is to go to another directory, at a byte a second: some of it arrives, and never all. */
    void beginMove(Nodes.Node node, String topic, Path to) throws Exception {
        try (Admin admin = node.admin(); var producer = Calls.producer(node.context(), Map.of())) {
            List<String> large = IntStream.range(0, 4).mapToObj(n -> "x".repeat(800_000) + n).toList();
            Calls.send(producer, large.stream().map(value -> new ProducerRecord<>(topic, 0, new byte[0], value.getBytes())).toList());
            values.get(topic).addAll(large);
            // Kafka tells of this key that it is set, and not to what.
            alter(admin, BROKER, "replica.alter.log.dirs.io.max.bytes.per.second", "1");
            Calls.get(admin.alterReplicaLogDirs(Map.of(new TopicPartitionReplica(topic, 0, 1), to.toString())).all());
        }
    }

    /** What only Kafka acts on. */
    void checkSecurity(Nodes.Node node) throws Exception {
        try (Admin admin = node.admin()) {
            var credentials = Calls.get(admin.describeUserScramCredentials(List.of("alice")).all()).get("alice").credentialInfos();
            Compat.equal(credentials, List.of(new ScramCredentialInfo(ScramMechanism.SCRAM_SHA_256, 4096)), "the credentials");
            var quotas = Calls.get(admin.describeClientQuotas(ClientQuotaFilter.all()).entities());
            Compat.equal(quotas, Map.of(QUOTA, Map.of("producer_byte_rate", 1e6)), "the quotas");
        }
    }

    private void checkRecords(Nodes.Node node, Admin admin, String topic) throws Exception {
        TopicPartition partition = new TopicPartition(topic, 0);
        List<String> expected = values.get(topic);
        long first = firsts.getOrDefault(topic, 0L);
        long start = Calls.get(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all()).get(partition).offset();
        long end = Calls.get(admin.listOffsets(Map.of(partition, OffsetSpec.latest())).all()).get(partition).offset();
        Compat.equal(List.of(start, end), List.of(first, first + expected.size()), "the offsets of " + topic);
        List<ConsumerRecord<byte[], byte[]>> records = Calls.read(node.context(), topic, 0, expected.size());
        Compat.equal(Calls.values(records), expected, "the records of " + topic);
        for (int i = 0; i < records.size(); i++) {
            Compat.equal(records.get(i).offset(), first + i, "an offset of " + topic);
        }
    }

    /** Ids, epochs and last sequences of those who were idempotent. */
    private static List<String> producers(Admin admin) throws Exception {
        var states = Calls.get(admin.describeProducers(List.of(new TopicPartition("packed", 0))).all());
        return states.values().iterator().next().activeProducers().stream()
            .map(state -> state.producerId() + " " + state.producerEpoch() + " " + state.lastSequence()).sorted().toList();
    }

    private void create(Admin admin, String topic, Map<String, String> with) throws Exception {
        var created = admin.createTopics(Set.of(new NewTopic(topic, 1, (short) 1).configs(with)));
        ids.put(topic, Calls.get(created.topicId(topic)));
        values.put(topic, new ArrayList<>());
        configs.put(new ConfigResource(ConfigResource.Type.TOPIC, topic), with);
    }

    private void set(Admin admin, ConfigResource resource, String key, String value) throws Exception {
        alter(admin, resource, key, value);
        configs.computeIfAbsent(resource, of -> new HashMap<>()).put(key, value);
    }

    private static void alter(Admin admin, ConfigResource resource, String key, String value) throws Exception {
        var operation = new AlterConfigOp(new ConfigEntry(key, value), AlterConfigOp.OpType.SET);
        Calls.get(admin.incrementalAlterConfigs(Map.of(resource, List.of(operation))).all());
    }

    private void send(Nodes.Node node, String topic, String by, Map<String, Object> options) throws Exception {
        List<String> more = IntStream.range(0, 20).mapToObj(n -> by + " " + n).toList();
        try (var producer = Calls.producer(node.context(), options)) {
            Calls.send(producer, more.stream().map(value ->
                new ProducerRecord<>(topic, 0, value.getBytes(), value.getBytes())).toList());
        }
        values.get(topic).addAll(more);
    }

    /** A member reads on in its group, and commits what it has. */
    private void commit(Nodes.Node node, String protocol) throws Exception {
        TopicPartition partition = new TopicPartition("plain", 0);
        try (var reader = Calls.reader(node.context(), Map.of("group.id", protocol, "group.protocol", protocol))) {
            reader.consumer().subscribe(List.of("plain"));
            var records = Calls.take(reader.consumer(), 10);
            long end = records.get(records.size() - 1).offset() + 1;
            reader.consumer().commitSync(Map.of(partition, new OffsetAndMetadata(end)), Duration.ofSeconds(20));
            commits.computeIfAbsent(protocol, of -> new HashMap<>()).put(partition, end);
            reader.consumer().unsubscribe();
        }
    }
}
