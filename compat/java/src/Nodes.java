import java.io.File;
import java.io.IOException;
import java.io.PrintStream;
import java.net.ServerSocket;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.TimeUnit;
import java.util.stream.Stream;
import kafka.server.KafkaConfig;
import kafka.server.KafkaRaftServer;
import kafka.tools.StorageTool;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.utils.Time;

/** Starts and ends nodes of Apache Kafka, in this JVM or in one that can be killed, and of Ottla. */
final class Nodes {
    private static final int READY_S = 60;
    /** Groups that settle as soon as they can. */
    private static final List<String> QUICK = List.of("--set", "group.initial.rebalance.delay.ms=0", "--set",
        "group.consumer.min.heartbeat.interval.ms=300", "--set", "group.consumer.heartbeat.interval.ms=300", "--set",
        "group.consumer.assignment.interval.ms=0");

    private final String server;
    private final Path dir;
    private final int port = freePort(), controllerPort = freePort();
    private final List<Node> running = new ArrayList<>();
    private int started;

    Nodes(String server, Path dir) {
        this.server = server;
        this.dir = dir;
    }

    /** Where a node of Kafka learns who votes. */
    enum Quorum {
        /** From the log or the snapshot, where `format` has put it. */
        OF_THE_LOG,
        /** From `controller.quorum.voters`. */
        OF_THE_CONFIGURATION
    }

    /** A node that serves. Closed, it stops cleanly. */
    abstract static class Node implements AutoCloseable {
        abstract String bootstrap();

        /** What it has printed. */
        String said() throws IOException {
            return "";
        }

        Admin admin() {
            return Admin.create(Map.of("bootstrap.servers", bootstrap()));
        }

        Compat.Context context() {
            return new Compat.Context(bootstrap(), "trip", "", null, "trip");
        }

        void kill() throws Exception {
            throw new UnsupportedOperationException();
        }

        @Override
        public abstract void close() throws Exception;
    }

    void format(Path data) throws Exception {
        String[] arguments = {"format", "--standalone", "-t", Uuid.randomUuid().toString(), "-c", properties(data, Quorum.OF_THE_LOG).toString()};
        Compat.equal(StorageTool.execute(arguments, new PrintStream(PrintStream.nullOutputStream())), 0, "the status of format");
    }

    /** Kafka, in this JVM: the second start finds all classes loaded. */
    Node kafka(Path data, Quorum quorum) throws Exception {
        Properties properties = new Properties();
        try (var reader = Files.newBufferedReader(properties(data, quorum))) {
            properties.load(reader);
        }
        KafkaRaftServer kafka = new KafkaRaftServer(KafkaConfig.fromProps(properties), Time.SYSTEM);
        kafka.startup();
        return started(new Node() {
            @Override
            String bootstrap() {
                return "127.0.0.1:" + port;
            }

            @Override
            public void close() {
                running.remove(this);
                kafka.shutdown();
                kafka.awaitShutdown();
            }
        });
    }

    /** Kafka, in a process of its own. */
    Node kafkaToKill(Path data) throws Exception {
        String java = Path.of(System.getProperty("java.home"), "bin", "java").toString();
        Path properties = properties(data, Quorum.OF_THE_LOG);
        Process process = start(List.of(java, "-Xmx384m", "-XX:TieredStopAtLevel=1", "-cp", System.getProperty("java.class.path"),
            "kafka.Kafka", properties.toString()), log());
        Node node = started(new Child(process, "127.0.0.1:" + port, null));
        try (Admin admin = node.admin()) {
            Calls.until(() -> answers(admin), "Kafka did not answer");
        }
        return node;
    }

    private static boolean answers(Admin admin) {
        try {
            return !Calls.get(admin.describeCluster().nodes()).isEmpty();
        } catch (Exception e) {
            return false;
        }
    }

    Node ottla(Path data, String... settings) throws Exception {
        File log = log();
        Process process = start(ottlaCommand(data, settings), log);
        Child node = new Child(process, null, log);
        started(node);
        Calls.until(() -> node.isReady(), "Ottla is not ready");
        return node;
    }

    /** What Ottla says when it does not start. */
    String refusal(Path data) throws Exception {
        File log = log();
        Process process = start(ottlaCommand(data), log);
        Compat.check(process.waitFor(READY_S, TimeUnit.SECONDS), "it starts");
        Compat.check(process.exitValue() != 0, "the status is 0");
        return Files.readString(log.toPath());
    }

    void endAll() throws Exception {
        for (Node node : List.copyOf(running)) {
            node.close();
        }
    }

    private Node started(Node node) {
        running.add(node);
        return node;
    }

    private List<String> ottlaCommand(Path data, String... settings) {
        List<String> command = new ArrayList<>(List.of(server, "server", "--set", "listeners=PLAINTEXT://127.0.0.1:0", "--set",
            "ottla.http.listener=", "--set", "log.dirs=" + dirs(data)));
        command.addAll(QUICK);
        for (String setting : settings) {
            command.addAll(List.of("--set", setting));
        }
        return command;
    }

    /** The log directories of a node: one that has the metadata log too, and one that has only replicas. */
    private static String dirs(Path data) {
        return data + "," + second(data);
    }

    static Path second(Path data) {
        return data.resolveSibling(data.getFileName() + "-2");
    }

    private static Process start(List<String> command, File log) throws IOException {
        return new ProcessBuilder(command).redirectErrorStream(true).redirectOutput(log).start();
    }

    private File log() {
        started++;
        return dir.resolve("node-" + started + ".log").toFile();
    }

    private Path properties(Path data, Quorum quorum) throws IOException {
        String controller = "127.0.0.1:" + controllerPort;
        String voters = switch (quorum) {
            case OF_THE_LOG -> "controller.quorum.bootstrap.servers=" + controller;
            case OF_THE_CONFIGURATION -> "controller.quorum.voters=1@" + controller;
        };
        Path file = dir.resolve("server.properties");
        Files.writeString(file, String.join("\n",
            "process.roles=broker,controller", "node.id=1", "log.dirs=" + dirs(data), voters,
            "listeners=PLAINTEXT://127.0.0.1:" + port + ",CONTROLLER://" + controller,
            "advertised.listeners=PLAINTEXT://127.0.0.1:" + port, "controller.listener.names=CONTROLLER",
            "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer", "super.users=User:ANONYMOUS",
            "allow.everyone.if.no.acl.found=true", "metadata.log.max.snapshot.interval.ms=1000", "offsets.topic.num.partitions=2", "offsets.topic.replication.factor=1",
            "group.initial.rebalance.delay.ms=0", "group.consumer.min.heartbeat.interval.ms=300",
            "group.consumer.heartbeat.interval.ms=300", "group.consumer.assignment.interval.ms=0", "log.cleaner.dedupe.buffer.size=2097152", ""));
        return file;
    }

    static void empty(Path dir) throws IOException {
        if (Files.exists(dir)) {
            try (Stream<Path> all = Files.walk(dir)) {
                for (Path path : all.sorted(Comparator.reverseOrder()).toList()) {
                    Files.delete(path);
                }
            }
        }
        Files.createDirectories(dir);
    }

    private static int freePort() {
        try (ServerSocket socket = new ServerSocket(0)) {
            return socket.getLocalPort();
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }

    /** A node in a process of its own. */
    private final class Child extends Node {
        private final Process process;
        private final File log;
        private String bootstrap;

        Child(Process process, String bootstrap, File log) {
            this.process = process;
            this.bootstrap = bootstrap;
            this.log = log;
        }

        @Override
        String bootstrap() {
            return bootstrap;
        }

        @Override
        String said() throws IOException {
            return Files.readString(log.toPath());
        }

        /** Looks for {@code ottla ready on 127.0.0.1:45123 in 12 ms}. */
        boolean isReady() throws IOException {
            Compat.check(process.isAlive(), "it has ended: " + said());
            String[] words = said().split("ready on ", 2);
            if (words.length == 2 && words[1].contains(" in ")) {
                bootstrap = words[1].substring(0, words[1].indexOf(' '));
            }
            return bootstrap != null;
        }

        @Override
        void kill() throws Exception {
            running.remove(this);
            process.destroyForcibly();
            process.waitFor();
        }

        @Override
        public void close() throws Exception {
            if (!running.remove(this)) {
                return;
            }
            process.destroy();
            Compat.check(process.waitFor(READY_S, TimeUnit.SECONDS), "it does not stop");
            Compat.equal(process.exitValue(), 0, "the status of a node that was stopped");
        }
    }
}
