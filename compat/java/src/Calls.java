import static java.util.concurrent.TimeUnit.SECONDS;

import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Future;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.Config;
import org.apache.kafka.clients.admin.DescribeConfigsOptions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.consumer.CloseOptions;
import org.apache.kafka.clients.consumer.Consumer;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.Producer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.KafkaFuture;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;
import org.apache.kafka.common.serialization.ByteArraySerializer;

/** What the checks of kafka-clients are written with. */
abstract class Calls {
    static final Duration PATIENCE = Duration.ofSeconds(20);

    interface Call {
        void run() throws Exception;
    }

    static void refused(Class<? extends Exception> with, Call call) throws Exception {
        try {
            call.run();
        } catch (ExecutionException e) {
            Compat.equal(e.getCause().getClass(), with, "the refusal (" + e.getCause().getMessage() + ")");
            return;
        }
        throw new AssertionError("not refused; expected " + with.getSimpleName());
    }

    static <T> T get(Future<T> future) throws Exception {
        return future.get(PATIENCE.toSeconds(), SECONDS);
    }

    static <T> T get(KafkaFuture<T> future) throws Exception {
        return future.get(PATIENCE.toSeconds(), SECONDS);
    }

    interface Condition {
        boolean holds() throws Exception;
    }

    /** Looks until it is so. */
    static void until(Condition condition, String otherwise) throws Exception {
        for (long end = System.nanoTime() + 3 * PATIENCE.toNanos(); !condition.holds(); Thread.sleep(20)) {
            Compat.check(System.nanoTime() < end, otherwise);
        }
    }

    static Admin admin(Compat.Context c) {
        return Admin.create(Map.of("bootstrap.servers", c.bootstrap()));
    }

    static void create(Admin admin, String topic, int partitions, Map<String, String> configs) throws Exception {
        get(admin.createTopics(Set.of(new NewTopic(topic, partitions, (short) 1).configs(configs))).all());
    }

    static void create(Compat.Context c, int partitions, Map<String, String> configs) throws Exception {
        try (Admin admin = admin(c)) {
            create(admin, c.topic(), partitions, configs);
        }
    }

    static Config configs(Admin admin, ConfigResource resource) throws Exception {
        var options = new DescribeConfigsOptions().includeSynonyms(true).includeDocumentation(true);
        return get(admin.describeConfigs(Set.of(resource), options).all()).get(resource);
    }

    static long offset(Admin admin, Compat.Context c, OffsetSpec spec) throws Exception {
        TopicPartition at = new TopicPartition(c.topic(), 0);
        return get(admin.listOffsets(Map.of(at, spec)).all()).get(at).offset();
    }

    static Producer<byte[], byte[]> producer(Compat.Context c, Map<String, Object> options) {
        Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", c.bootstrap(), "max.request.size", 4 << 20));
        all.putAll(options);
        return new KafkaProducer<>(all, new ByteArraySerializer(), new ByteArraySerializer());
    }

    /** Closes without waiting for the fetch under way, as the consumer by itself would for up to fetch.max.wait.ms. */
    record Reader(Consumer<byte[], byte[]> consumer) implements AutoCloseable {
        @Override
        public void close() {
            consumer.close(CloseOptions.timeout(Duration.ZERO));
        }
    }

    static Reader reader(Compat.Context c, Map<String, Object> options) {
        Map<String, Object> all = new HashMap<>(
            Map.of("bootstrap.servers", c.bootstrap(), "auto.offset.reset", "earliest", "enable.auto.commit", "false"));
        all.putAll(options);
        return new Reader(new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer()));
    }

    static List<RecordMetadata> send(Producer<byte[], byte[]> producer, Collection<ProducerRecord<byte[], byte[]>> records)
        throws Exception {
        List<Future<RecordMetadata>> sent = records.stream().map(producer::send).toList();
        producer.flush();
        List<RecordMetadata> answers = new ArrayList<>();
        for (var answer : sent) {
            answers.add(get(answer));
        }
        return answers;
    }

    static List<ConsumerRecord<byte[], byte[]>> take(Consumer<byte[], byte[]> consumer, int count) {
        List<ConsumerRecord<byte[], byte[]>> seen = new ArrayList<>();
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (seen.size() < count) {
            consumer.poll(Duration.ofMillis(200)).forEach(seen::add);
            Compat.check(System.nanoTime() < end, "only " + seen.size() + " of " + count + " records in time");
        }
        return seen;
    }

    static List<ConsumerRecord<byte[], byte[]>> read(Compat.Context c, String topic, int partition, int count) {
        try (var reader = reader(c, Map.of())) {
            reader.consumer().assign(List.of(new TopicPartition(topic, partition)));
            return take(reader.consumer(), count);
        }
    }

    static List<ProducerRecord<byte[], byte[]>> numbered(String topic, int partition, int count) {
        return IntStream.range(0, count)
            .mapToObj(n -> new ProducerRecord<byte[], byte[]>(topic, partition, null, String.valueOf(n).getBytes())).toList();
    }

    static List<String> values(List<ConsumerRecord<byte[], byte[]>> records) {
        return records.stream().map(r -> new String(r.value())).toList();
    }

    /** Bytes that do not compress, always the same. */
    static byte[] noise(int count) {
        byte[] bytes = new byte[count];
        new Random(7).nextBytes(bytes);
        return bytes;
    }
}
