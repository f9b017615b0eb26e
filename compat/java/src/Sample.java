import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HexFormat;
import java.util.List;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.header.Header;

/** The records that travel between clients, read from {@code sample.tsv}, which the Python tests read as well. */
final class Sample {
    static final List<String> CODECS = List.of("none", "gzip", "snappy", "lz4", "zstd"); // partition n holds codec n

    /** One header; {@code value} is null where the header has none. ByteBuffers, because they compare by content. */
    record Pair(String name, ByteBuffer value) {}

    record Line(ByteBuffer key, ByteBuffer value, long timestamp, List<Pair> headers) {
        ProducerRecord<byte[], byte[]> to(String topic, int partition) {
            var record = new ProducerRecord<>(topic, partition, timestamp, bytes(key), bytes(value));
            headers.forEach(h -> record.headers().add(h.name(), bytes(h.value())));
            return record;
        }

        static Line of(ConsumerRecord<byte[], byte[]> record) {
            List<Pair> headers = new ArrayList<>();
            for (Header h : record.headers()) {
                headers.add(new Pair(h.key(), wrap(h.value())));
            }
            return new Line(wrap(record.key()), wrap(record.value()), record.timestamp(), headers);
        }
    }

    static List<Line> load(String file) throws IOException {
        List<Line> lines = new ArrayList<>();
        for (String text : Files.readAllLines(Path.of(file))) {
            if (text.isEmpty() || text.startsWith("#")) {
                continue;
            }
            String[] parts = text.split("\t", -1);
            List<Pair> headers = new ArrayList<>();
            for (String header : parts[3].isEmpty() ? new String[0] : parts[3].split(";")) {
                String[] pair = header.split("=", 2);
                headers.add(new Pair(pair[0], field(pair[1])));
            }
            lines.add(new Line(field(parts[0]), field(parts[1]), Long.parseLong(parts[2]), headers));
        }
        return lines;
    }

    /** Where a client leaves its sample for the others. */
    static String topicOf(String client, String run) {
        return run + "-sample-" + client;
    }

    private static ByteBuffer field(String text) {
        if (text.equals("null")) {
            return null;
        }
        return wrap(text.startsWith("0x") ? HexFormat.of().parseHex(text.substring(2)) : text.getBytes(StandardCharsets.UTF_8));
    }

    private static ByteBuffer wrap(byte[] bytes) {
        return bytes == null ? null : ByteBuffer.wrap(bytes);
    }

    private static byte[] bytes(ByteBuffer buffer) {
        return buffer == null ? null : buffer.array();
    }
}
