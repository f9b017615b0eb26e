import java.io.IOException;
import java.net.ConnectException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;

/** Kafka's tools for what an operator changes: configs, deleted records, log directories. */
final class UpkeepTools extends Calls {
    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("tools.configs", UpkeepTools::configs),
        new Compat.Test("tools.configs_listeners", UpkeepTools::listeners),
        new Compat.Test("tools.configs_loggers", UpkeepTools::loggers),
        new Compat.Test("tools.client-metrics", UpkeepTools::clientMetrics),
        new Compat.Test("tools.delete-records", UpkeepTools::deleteRecords),
        new Compat.Test("tools.log-dirs", UpkeepTools::logDirs));

    /** A topic's configs, and those of brokers behind them. */
    private static void configs(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        String[] topic = {"--entity-type", "topics", "--entity-name", c.topic()};
        Tools.has(alter(c, topic, "--add-config", "retention.ms=1000,cleanup.policy=[compact,delete]"), "Completed updating config");
        String described = describe(c, topic);
        Tools.matches(described, "retention.ms=1000 sensitive=false synonyms=\\{DYNAMIC_TOPIC_CONFIG:retention.ms=1000");
        Tools.matches(described, "cleanup.policy=compact,delete ");
        Tools.has(alter(c, topic, "--delete-config", "retention.ms"), "Completed updating config");
        Compat.check(!describe(c, topic).contains("retention.ms=1000"), "the deleted config is still there");

        String[] all = {"--entity-type", "brokers", "--entity-default"};
        Tools.has(alter(c, all, "--add-config", "log.cleaner.io.buffer.size=600000"), "Completed updating default config");
        Tools.matches(describe(c, all), "log.cleaner.io.buffer.size=600000 .*DYNAMIC_DEFAULT_BROKER_CONFIG");
        String[] one = {"--entity-type", "brokers", "--entity-name", "1"};
        Tools.has(alter(c, one, "--add-config", "log.cleaner.io.buffer.size=700000"), "Completed updating config");
        Tools.matches(describe(c, one), "log.cleaner.io.buffer.size=700000 .*DYNAMIC_BROKER_CONFIG:.*=700000, DYNAMIC_DEFAULT_BROKER_CONFIG:.*=600000, DEFAULT_CONFIG");
        Tools.has(alter(c, one, "--delete-config", "log.cleaner.io.buffer.size"), "Completed updating config");
        Tools.has(alter(c, all, "--delete-config", "log.cleaner.io.buffer.size"), "Completed updating default config");
    }

    /** A listener that comes and goes, and how many connections it may have. */
    private static void listeners(Compat.Context c) throws Exception {
        String key = "listener.name.second.max.connections";
        String before;
        try (var admin = admin(c)) {
            var configs = configs(admin, new ConfigResource(ConfigResource.Type.BROKER, "1"));
            if (configs.get("advertised.listeners").value() == null) {
                throw new Compat.Skip("needs a broker with advertised.listeners, or any other listener would be advertised");
            }
            before = configs.get("listeners").value();
        }
        int port;
        try (var probe = new ServerSocket(0, 1, InetAddress.getLoopbackAddress())) {
            port = probe.getLocalPort();
        }
        String[] one = {"--entity-type", "brokers", "--entity-name", "1"};
        Tools.has(alter(c, one, "--add-config", "listeners=[" + before + ",SECOND://127.0.0.1:" + port + "],"
            + "listener.security.protocol.map=[PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SECOND:PLAINTEXT]," + key + "=9"), "Completed updating config");
        while (!isServed(port)) {
            Thread.sleep(20);
        }
        Tools.matches(describe(c, one), key + "=9 sensitive=false synonyms=\\{DYNAMIC_BROKER_CONFIG:" + key + "=9, DEFAULT_CONFIG:max.connections=");
        Tools.has(alter(c, one, "--delete-config", "listeners,listener.security.protocol.map," + key), "Completed updating config");
        while (isServed(port)) {
            Thread.sleep(20);
        }
        Compat.check(!describe(c, one).contains("SECOND"), "the deleted configs are still there");
    }

    private static boolean isServed(int port) throws IOException {
        try {
            new Socket(InetAddress.getLoopbackAddress(), port).close();
            return true;
        } catch (ConnectException e) {
            return false;
        }
    }

    /** Levels of loggers, which are not configs that are kept. */
    private static void loggers(Compat.Context c) throws Exception {
        String[] one = {"--entity-type", "broker-loggers", "--entity-name", "1"};
        Tools.has(describe(c, one), "ottla_http=INFO ");
        Tools.has(alter(c, one, "--add-config", "ottla_http=DEBUG"), "Completed updating config");
        Tools.has(describe(c, one), "ottla_http=DEBUG ");
        Tools.has(alter(c, one, "--delete-config", "ottla_http"), "Completed updating config");
        Tools.has(describe(c, one), "ottla_http=INFO ");
    }

    /** A subscription to metrics that nobody receives. */
    private static void clientMetrics(Compat.Context c) throws Exception {
        String[] one = {"--entity-type", "client-metrics", "--entity-name", c.topic()};
        Tools.has(alter(c, one, "--add-config", "interval.ms=5000,metrics=[a.,b.],match=[client_id=x.*,client_source_port=9.*]"),
            "Completed updating config");
        Tools.has(clientMetrics(c, "--list"), c.topic());
        String described = clientMetrics(c, "--describe", "--name", c.topic());
        Tools.matches(described, "interval.ms=5000");
        Tools.matches(described, "match=client_id=x.\\*,client_source_port=9.\\*");
        Tools.matches(describe(c, one), "metrics=a.,b. sensitive=false synonyms=\\{.*CLIENT_METRICS_CONFIG:metrics=a.,b.");
        clientMetrics(c, "--delete", "--name", c.topic());
        Compat.check(!clientMetrics(c, "--list").contains(c.topic()), "the deleted subscription is still listed");
    }

    private static String clientMetrics(Compat.Context c, String... typed) throws Exception {
        return Tools.tool("ClientMetricsCommand", "", Tools.with(new String[] {"--bootstrap-server", c.bootstrap()}, typed));
    }

    private static void deleteRecords(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (var producer = producer(c, Map.of())) {
            send(producer, numbered(c.topic(), 0, 10));
        }
        Path file = Files.createTempFile("delete", ".json");
        try {
            Files.writeString(file, "{\"version\":1,\"partitions\":[{\"topic\":\"" + c.topic() + "\",\"partition\":0,\"offset\":7}]}");
            Tools.matches(Tools.tool("DeleteRecordsCommand", "", "--bootstrap-server", c.bootstrap(), "--offset-json-file", file.toString()),
                "partition: " + c.topic() + "-0\\s+low_watermark: 7");
        } finally {
            Files.delete(file);
        }
        try (var admin = admin(c)) {
            TopicPartition partition = new TopicPartition(c.topic(), 0);
            Compat.equal(get(admin.listOffsets(Map.of(partition, OffsetSpec.earliest())).all()).get(partition).offset(), 7L, "the first offset");
        }
    }

    private static void logDirs(Compat.Context c) throws Exception {
        create(c, 2, Map.of());
        String said = Tools.tool("LogDirsCommand", "", "--bootstrap-server", c.bootstrap(), "--describe", "--topic-list", c.topic());
        Tools.matches(said, "\"partition\":\"" + c.topic() + "-1\",\"size\":0,\"offsetLag\":0,\"isFuture\":false");
    }

    private static String alter(Compat.Context c, String[] entity, String... typed) throws Exception {
        return Tools.tool("kafka.admin.ConfigCommand", "", Tools.with(Tools.with(new String[] {"--bootstrap-server", c.bootstrap(), "--alter"}, entity), typed));
    }

    private static String describe(Compat.Context c, String[] entity) throws Exception {
        return Tools.tool("kafka.admin.ConfigCommand", "", Tools.with(new String[] {"--bootstrap-server", c.bootstrap(), "--describe"}, entity));
    }
}
