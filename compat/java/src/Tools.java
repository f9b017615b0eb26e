import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.lang.reflect.InvocationTargetException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.regex.Pattern;
import org.apache.kafka.common.utils.Exit;

/**
 * Kafka's console tools, called as a shell would call them. Every call loads the tool's classes anew, because some tools keep
 * counts in statics, and catches its exit.
 */
final class Tools {
    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("tools.broker-api-versions", Tools::brokerApiVersions),
        new Compat.Test("tools.topics", Tools::topics),
        new Compat.Test("tools.producer_to_consumer", Tools::producerToConsumer),
        new Compat.Test("tools.get-offsets", Tools::getOffsets),
        new Compat.Test("tools.producer-perf-test", Tools::producerPerfTest),
        new Compat.Test("tools.dump-log", Tools::dumpLog),
        new Compat.Test("tools.dump-log_metadata", Tools::dumpMetadataLog));

    private static final String PACKAGE = "org.apache.kafka.tools.";

    private static void brokerApiVersions(Compat.Context c) throws Exception {
        String said = tool("BrokerApiVersionsCommand", "", "--bootstrap-server", c.bootstrap());
        has(said, c.bootstrap());
        for (String api : List.of("Produce(0)", "Fetch(1)", "ListOffsets(2)", "Metadata(3)", "ApiVersions(18)")) {
            has(said, api);
        }
        has(said, "Metadata(3): 0 to 13 [usable: 13]");
    }

    private static void topics(Compat.Context c) throws Exception {
        String topic = c.topic();
        has(topics(c, "--create", "--topic", topic, "--partitions", "2", "--config", "retention.ms=-1"), "Created topic " + topic);
        has(topics(c, "--list"), topic);
        String described = topics(c, "--describe", "--topic", topic);
        has(described, "PartitionCount: 2\tReplicationFactor: 1");
        has(described, "retention.ms=-1");
        Compat.check(described.matches("(?s).*Partition: 1\tLeader: (\\d+)\tReplicas: \\1\tIsr: \\1\t.*"), "no leader in: " + described);
        topics(c, "--delete", "--topic", topic);
        Compat.check(!topics(c, "--list").contains(topic), "the deleted topic is still listed");
    }

    /** The console consumer without a group, as `--partition 0 --offset earliest`. */
    private static void producerToConsumer(Compat.Context c) throws Exception {
        topics(c, "--create", "--topic", c.topic());
        tool("ConsoleProducer", "k1:one\nk2:two\nk3:drei und dreißig\n", "--bootstrap-server", c.bootstrap(), "--topic", c.topic(),
            "--reader-property", "parse.key=true", "--reader-property", "key.separator=:");
        String said = tool("consumer.ConsoleConsumer", "", "--bootstrap-server", c.bootstrap(), "--topic", c.topic(), "--partition", "0",
            "--offset", "earliest", "--max-messages", "3", "--timeout-ms", "20000", "--formatter-property", "print.key=true",
            "--formatter-property", "print.offset=true");
        Compat.equal(said, "Offset:0\tk1\tone\nOffset:1\tk2\ttwo\nOffset:2\tk3\tdrei und dreißig\n", "what the consumer printed");
    }

    private static void getOffsets(Compat.Context c) throws Exception {
        topics(c, "--create", "--topic", c.topic());
        produce(c, "a\nb\nc\n");
        Compat.equal(tool("GetOffsetShell", "", "--bootstrap-server", c.bootstrap(), "--topic", c.topic()), c.topic() + ":0:3\n",
            "what it printed");
    }

    private static void producerPerfTest(Compat.Context c) throws Exception {
        topics(c, "--create", "--topic", c.topic());
        has(tool("ProducerPerformance", "", "--topic", c.topic(), "--num-records", "20000", "--record-size", "100", "--throughput", "-1",
            "--bootstrap-server", c.bootstrap()), "20000 records sent");
    }

    /** Kafka reads the segment that the broker wrote. */
    private static void dumpLog(Compat.Context c) throws Exception {
        topics(c, "--create", "--topic", c.topic());
        produce(c, "first\nsecond\n");
        String said = tool("DumpLogSegments", "", "--print-data-log", "--files", segment(c, c.topic() + "-0"));
        has(said, "payload: first");
        has(said, "payload: second");
        has(said, "isvalid: true");
    }

    /** Kafka's metadata decoder reads the records of the broker's metadata log. */
    private static void dumpMetadataLog(Compat.Context c) throws Exception {
        topics(c, "--create", "--topic", c.topic(), "--config", "retention.ms=-1");
        String said = tool("DumpLogSegments", "", "--cluster-metadata-decoder", "--files", segment(c, "__cluster_metadata-0"));
        has(said, "{\"type\":\"TOPIC_RECORD\",\"version\":0,\"data\":{\"name\":\"" + c.topic() + "\"");
        has(said, "\"type\":\"PARTITION_RECORD\"");
        has(said, "\"resourceName\":\"" + c.topic() + "\",\"name\":\"retention.ms\",\"value\":\"-1\"");
        Compat.check(!said.contains("isvalid: false") && !said.contains("Error at"), "a batch is not valid: " + said);
    }

    // How a tool is called

    private static String topics(Compat.Context c, String... args) throws Exception {
        String[] all = new String[args.length + 2];
        all[0] = "--bootstrap-server";
        all[1] = c.bootstrap();
        System.arraycopy(args, 0, all, 2, args.length);
        return tool("TopicCommand", "", all);
    }

    private static void produce(Compat.Context c, String lines) throws Exception {
        tool("ConsoleProducer", lines, "--bootstrap-server", c.bootstrap(), "--topic", c.topic());
    }

    private static String segment(Compat.Context c, String partition) throws Compat.Skip {
        if (c.data() == null) {
            throw new Compat.Skip("needs --data, the broker's log directory");
        }
        return c.data() + "/" + partition + "/00000000000000000000.log";
    }

    static void has(String said, String part) {
        Compat.check(said.contains(part), "no \"" + part + "\" in: " + said);
    }

    static void matches(String said, String pattern) {
        Compat.check(Pattern.compile(pattern).matcher(said).find(), "nothing like \"" + pattern + "\" in: " + said);
    }

    static String[] with(String[] typed, String... more) {
        String[] all = Arrays.copyOf(typed, typed.length + more.length);
        System.arraycopy(more, 0, all, typed.length, more.length);
        return all;
    }

    private static final class Exited extends RuntimeException {
        final int code;

        Exited(int code) {
            this.code = code;
        }
    }

    /** Calls a tool's main method; gives what it printed. It must exit with 0, or return. */
    static String tool(String name, String input, String... args) throws Exception {
        ByteArrayOutputStream said = new ByteArrayOutputStream(), complained = new ByteArrayOutputStream();
        int[] code = {-1}; // of the first exit: a tool may catch ours and exit once more
        Exit.Procedure exit = (status, message) -> {
            code[0] = code[0] == -1 ? status : code[0];
            throw new Exited(status);
        };
        PrintStream out = System.out, err = System.err;
        InputStream in = System.in;
        System.setOut(new PrintStream(said, true, StandardCharsets.UTF_8));
        System.setErr(new PrintStream(complained, true, StandardCharsets.UTF_8)); // our exit too, which some tools catch and print
        System.setIn(new ByteArrayInputStream(input.getBytes(StandardCharsets.UTF_8)));
        Exit.setExitProcedure(exit);
        Exit.setHaltProcedure(exit);
        List<Runnable> hooks = new ArrayList<>(); // the console producer flushes in one
        Exit.setShutdownHookAdder((what, hook) -> hooks.add(hook));
        try (Fresh loader = new Fresh()) {
            loader.loadClass(name.startsWith("kafka.") ? name : PACKAGE + name).getMethod("main", String[].class).invoke(null, (Object) args);
        } catch (InvocationTargetException e) {
            if (!(e.getCause() instanceof Exited)) {
                throw new AssertionError(name + " failed after printing: " + said + complained, e.getCause());
            }
        } finally {
            hooks.forEach(Runnable::run);
            System.setOut(out);
            System.setErr(err);
            System.setIn(in);
            Exit.resetExitProcedure();
            Exit.resetHaltProcedure();
            Exit.resetShutdownHookAdder();
        }
        String text = said.toString(StandardCharsets.UTF_8);
        Compat.check(code[0] <= 0, name + " exited with " + code[0] + " after printing: " + text + complained);
        return text;
    }

    /** Loads the classes of the tools itself, all others as usual. */
    private static final class Fresh extends URLClassLoader {
        Fresh() throws ClassNotFoundException {
            super(new URL[] {Class.forName(PACKAGE + "TopicCommand").getProtectionDomain().getCodeSource().getLocation()},
                Tools.class.getClassLoader());
        }

        @Override
        protected Class<?> loadClass(String name, boolean resolve) throws ClassNotFoundException {
            if (!name.startsWith(PACKAGE) || name.startsWith(PACKAGE + "api.")) {
                return super.loadClass(name, resolve);
            }
            synchronized (getClassLoadingLock(name)) {
                Class<?> loaded = findLoadedClass(name);
                return loaded != null ? loaded : findClass(name);
            }
        }
    }
}
