import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import java.util.zip.CRC32;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * Two log directories, opened in turn by Apache Kafka and by Ottla: nothing of them is lost, whoever opens them, and however
 * the one before has ended.
 *
 * <p>{@code java -cp CLASSES:JARS/* RoundTrip --server OTTLA --dir DIR}; DIR is emptied. Each step needs those before it, so
 * the first that fails is the last that runs.
 */
public final class RoundTrip {
    /** Metadata snapshots, and an end of the log before them, after a few topics. */
    private static final String[] SHORT = {
        "metadata.log.max.record.bytes.between.snapshots=500", "internal.metadata.log.segment.bytes=4096",
        "metadata.max.retention.bytes=9000", "internal.metadata.delete.delay.millis=0"};

    private static final String REASSIGN = "reassign.ReassignPartitionsCommand";
    private static final String LARGE = "large";

    private final Nodes nodes;
    private final Path data;
    private final Contents contents = new Contents();
    /** Where a replica was on its way to when Kafka was killed. */
    private Path target;

    private RoundTrip(String server, Path dir) {
        nodes = new Nodes(server, dir);
        data = dir.resolve("data");
    }

    interface Step {
        void run() throws Exception;
    }

    public static void main(String[] args) throws Exception {
        Compat.check(args.length == 4 && args[0].equals("--server") && args[2].equals("--dir"), "--server OTTLA --dir DIR");
        Path dir = Path.of(args[3]);
        Nodes.empty(dir);
        RoundTrip trip = new RoundTrip(args[1], dir);
        Map<String, Step> steps = new TreeMap<>(Map.of(
            "1 kafka fills a directory", trip::kafkaBegins,
            "2 ottla refuses acls", trip::ottlaRefuses,
            "3 kafka removes the acl", trip::kafkaRemovesAcl,
            "4 ottla takes it over", trip::ottlaTakesOver,
            "5 kafka takes it back and is killed", trip::kafkaTakesBack,
            "6 ottla takes it over again", trip::ottlaTakesOverAgain,
            "7 kafka reads every file", trip::kafkaDumps,
            "8 kafka opens what ottla began", trip::kafkaOpensOttlas));
        int passed = 0;
        String failed = null;
        for (var step : steps.entrySet()) {
            long start = System.nanoTime();
            try {
                step.getValue().run();
            } catch (Throwable e) {
                e.printStackTrace();
                System.out.printf("FAIL %s: %s%n", step.getKey(), e);
                failed = step.getKey();
                break;
            }
            passed++;
            System.out.printf("PASS %s %.2fs%n", step.getKey(), (System.nanoTime() - start) / 1e9);
        }
        trip.nodes.endAll();
        int skipped = steps.size() - passed - (failed == null ? 0 : 1);
        System.out.printf("%d passed, %d failed, %d skipped%n", passed, failed == null ? 0 : 1, skipped);
        System.out.flush();
        Runtime.getRuntime().halt(failed == null ? 0 : 1);
    }

    private void kafkaBegins() throws Exception {
        nodes.format(data);
        try (var kafka = nodes.kafka(data, Nodes.Quorum.OF_THE_LOG); Admin admin = kafka.admin()) {
            contents.begin(kafka);
            contents.add(kafka, "kafka-1");
            contents.check(kafka);
            checkBoth(data);
            Calls.get(admin.createAcls(List.of(ACL)).all());
            long end = newest(".checkpoint");
            Calls.until(() -> newest(".checkpoint") > end, "Kafka writes no snapshots");
        }
    }

    private void ottlaRefuses() throws Exception {
        Map<Path, Long> before = checksums();
        String said = nodes.refusal(data);
        Compat.check(said.contains("1 ACLs, among them: User:alice ALLOW READ on topic plain from host *"), said);
        Compat.equal(checksums(), before, "the directory");
    }

    private void kafkaRemovesAcl() throws Exception {
        try (var kafka = nodes.kafka(data, Nodes.Quorum.OF_THE_LOG); Admin admin = kafka.admin()) {
            Compat.equal(Calls.get(admin.deleteAcls(List.of(AclBindingFilter.ANY)).all()).size(), 1, "removed ACLs");
        }
    }

    private void ottlaTakesOver() throws Exception {
        try (var ottla = nodes.ottla(data, SHORT)) {
            contents.check(ottla);
            contents.add(ottla, "ottla-1");
            contents.check(ottla);
            checkBoth(data);
            Compat.check(ottla.said().contains("SCRAM credentials (1), client quotas (1)"), "no word of what has no effect");
            Calls.until(() -> newest(".checkpoint") > 0 && first(".log") > 0, "the metadata log was not trimmed");
        }
    }

    private void kafkaTakesBack() throws Exception {
        try (var kafka = nodes.kafkaToKill(data)) {
            contents.check(kafka);
            contents.checkSecurity(kafka);
            contents.add(kafka, "kafka-2");
            contents.create(kafka, LARGE);
            target = other(LARGE);
            contents.beginMove(kafka, LARGE, target);
            Calls.until(() -> arrived(LARGE + "-0\\..*-future") > 0, "Kafka does not begin to move a replica");
            kafka.kill();
            long part = arrived(LARGE + "-0\\..*-future");
            Compat.check(part > 0 && part < 3_000_000, "of a replica that is moved " + part + " bytes have arrived");
        }
    }

    private void ottlaTakesOverAgain() throws Exception {
        try (var ottla = nodes.ottla(data)) {
            Calls.until(() -> arrived(LARGE + "-0") > 3_000_000, "what Kafka has begun to move does not arrive");
            contents.check(ottla);
            contents.add(ottla, "ottla-2");
            move(ottla.bootstrap());
            contents.check(ottla);
        }
        try (var ottla = nodes.ottla(data)) {
            contents.check(ottla);
        }
    }

    /** Kafka's tool moves a replica to the other directory. */
    private void move(String bootstrap) throws Exception {
        Path to = other("plain");
        Path plan = data.resolveSibling("plan.json");
        Files.writeString(plan, "{\"version\":1,\"partitions\":[{\"topic\":\"plain\",\"partition\":0,\"replicas\":[1],\"log_dirs\":[\"" + to + "\"]}]}");
        String[] typed = {"--bootstrap-server", bootstrap, "--reassignment-json-file", plan.toString()};
        Tools.has(Tools.tool(REASSIGN, "", Tools.with(typed, "--execute")), "Successfully started partition reassignment");
        Calls.until(() -> Tools.tool(REASSIGN, "", Tools.with(typed, "--verify")).contains("completed successfully"), "the replica does not arrive");
        Compat.check(Files.isDirectory(to.resolve("plain-0")), "it is not in " + to);
    }

    /** The directory in which the topic is not. */
    private Path other(String topic) {
        return Files.isDirectory(data.resolve(topic + "-0")) ? Nodes.second(data) : data;
    }

    /** Bytes of the log of a replica of such a name in the directory that it is moved to. */
    private long arrived(String replica) {
        File[] none = {};
        File[] replicas = target.toFile().listFiles((dir, name) -> name.matches(replica));
        return Arrays.stream(replicas)
            .flatMap(one -> Arrays.stream(Objects.requireNonNullElse(one.listFiles((dir, name) -> name.endsWith(".log")), none)))
            .mapToLong(File::length).sum();
    }

    /** Kafka's tool reads all files that Ottla has left, with the decoder of each, and finds nothing wrong. */
    private void kafkaDumps() throws Exception {
        int seen = 0;
        try (Stream<Path> files = Stream.concat(Files.walk(data), Files.walk(Nodes.second(data)))) {
            for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
                String name = file.getFileName().toString();
                if (!name.matches("\\d{20}(-\\d{10})?\\.(log|index|timeindex|snapshot|txnindex|checkpoint)")
                    || name.endsWith("index") && Files.size(file) == 0) {
                    continue;
                }
                String said = Tools.tool("DumpLogSegments", "", Tools.with(decoder(file), "--files", file.toString()));
                Compat.check(!said.matches("(?s).*(isvalid: false|Error|Mismatches|not recoverable|out of order|corrupt).*"), file + ": " + said);
                seen++;
            }
        }
        Compat.check(seen > 20, "only " + seen + " files");
    }

    private static String[] decoder(Path file) {
        String log = file.getParent().getFileName().toString(), name = file.getFileName().toString();
        if (log.equals("__cluster_metadata-0") && name.matches(".*\\.(log|checkpoint)")) {
            return new String[] {"--cluster-metadata-decoder"};
        }
        if (name.endsWith("index")) {
            return name.endsWith(".index") ? new String[] {"--index-sanity-check"} : new String[] {"--verify-index-only"};
        }
        boolean isLog = name.endsWith(".log");
        return log.startsWith("__consumer_offsets-") && isLog ? new String[] {"--offsets-decoder"} : isLog ? new String[] {"--deep-iteration"} : new String[0];
    }

    private void kafkaOpensOttlas() throws Exception {
        Path own = data.resolveSibling("own");
        Contents contents = new Contents();
        try (var ottla = nodes.ottla(own, SHORT)) {
            contents.add(ottla, "ottla-1");
            checkBoth(own);
        }
        try (var kafka = nodes.kafka(own, Nodes.Quorum.OF_THE_CONFIGURATION)) {
            contents.check(kafka);
            contents.add(kafka, "kafka-1");
        }
        try (var ottla = nodes.ottla(own)) {
            contents.check(ottla);
        }
    }

    /** Each of the directories has replicas. */
    private static void checkBoth(Path data) {
        for (Path dir : List.of(data, Nodes.second(data))) {
            String[] replicas = dir.toFile().list((parent, name) -> name.matches("[a-z].*-\\d+"));
            Compat.check(replicas.length > 0, "no topic is in " + dir);
        }
    }

    private static final AclBinding ACL = new AclBinding(
        new ResourcePattern(ResourceType.TOPIC, "plain", PatternType.LITERAL),
        new AccessControlEntry("User:alice", "*", AclOperation.READ, AclPermissionType.ALLOW));

    /** Largest offset in the names of the metadata log's files of a kind. */
    private long newest(String ending) throws Exception {
        return offsets(ending).max().orElse(-1);
    }

    private long first(String ending) throws Exception {
        return offsets(ending).min().orElse(-1);
    }

    private LongStream offsets(String ending) {
        String[] names = data.resolve("__cluster_metadata-0").toFile().list((dir, name) -> name.endsWith(ending));
        return Arrays.stream(names).mapToLong(name -> Long.parseLong(name.substring(0, 20)));
    }

    private Map<Path, Long> checksums() throws Exception {
        Map<Path, Long> all = new TreeMap<>();
        try (Stream<Path> files = Stream.concat(Files.walk(data), Files.walk(Nodes.second(data)))) {
            for (Path file : (Iterable<Path>) files.filter(Files::isRegularFile)::iterator) {
                if (!file.endsWith(".lock")) {
                    CRC32 crc = new CRC32();
                    crc.update(Files.readAllBytes(file));
                    all.put(file, crc.getValue());
                }
            }
        }
        return all;
    }
}
