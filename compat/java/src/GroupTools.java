import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.regex.Pattern;

/** Kafka's console tools for groups, and its consumers as people type them. */
final class GroupTools extends Calls {
    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("tools.console-consumer", GroupTools::consoleConsumer),
        new Compat.Test("tools.consumer-groups", GroupTools::consumerGroups),
        new Compat.Test("tools.verifiable-consumer_classic", c -> verifiableConsumer(c, "classic")),
        new Compat.Test("tools.verifiable-consumer_consumer", c -> verifiableConsumer(c, "consumer")),
        new Compat.Test("tools.consumer-perf-test", GroupTools::consumerPerfTest),
        new Compat.Test("tools.dump-log_offsets", GroupTools::dumpOffsets));

    /** Without a group of its own, with one that goes on where it was, and with a pattern. */
    private static void consoleConsumer(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        numbers(c, 3);
        Compat.equal(consumer(c, "--topic", c.topic(), "--from-beginning", "--max-messages", "3"), "0\n1\n2\n", "what it prints");
        String[] typed = {"--topic", c.topic(), "--from-beginning", "--group", c.topic("group"), "--max-messages"};
        Compat.equal(consumer(c, Tools.with(typed, "2")), "0\n1\n", "what it prints with a group");
        Compat.equal(consumer(c, Tools.with(typed, "1")), "2\n", "what it prints with the same group");
        Compat.equal(consumer(c, Tools.with(typed, "1", "--timeout-ms", "1000")), "", "what it prints with the same group, at the end");
        Compat.equal(consumer(c, "--include", Pattern.quote(c.run()) + ".*console-cons.*", "--from-beginning", "--max-messages", "3"), "0\n1\n2\n",
            "what it prints with a pattern");
    }

    /** The life of a group in the words of kafka-consumer-groups and kafka-groups. */
    private static void consumerGroups(Compat.Context c) throws Exception {
        create(c, 2, Map.of());
        numbers(c, 10);
        String group = c.topic("group");
        try (var reader = reader(c, Map.of("group.id", group, "group.protocol", "consumer", "client.id", "mine"))) {
            reader.consumer().subscribe(List.of(c.topic()));
            take(reader.consumer(), 10);
            reader.consumer().commitSync();
            Tools.matches(groups(c, "--list"), "(?m)^" + group + "$");
            Tools.matches(groups(c, "--list", "--state", "--type"), "(?m)^" + group + " +Consumer +Stable *$");
            Tools.matches(Tools.tool("GroupsCommand", "", "--bootstrap-server", c.bootstrap(), "--list"), "(?m)^" + group + " +Consumer +consumer *$");
            Tools.matches(groups(c, "--describe", "--group", group), "(?m)^" + group + " +" + c.topic() + " +0 +10 +10 +0 .*/127.0.0.1 +mine *$");
            Tools.matches(groups(c, "--describe", "--group", group, "--state"), "(?m)^" + group + " +127.0.0.1:\\d+ +\\(\\d+\\) +uniform +Stable +1 *$");
            Tools.matches(groups(c, "--describe", "--group", group, "--members"), "(?m)^" + group + " .* /127.0.0.1 +mine +2 *$");
            Tools.matches(groups(c, "--describe", "--group", group, "--members", "--verbose"), "(?m)^" + group + " .* mine +2 .*" + c.topic() + ":0,1");
            Tools.has(groups(c, "--delete", "--group", group), "GroupNotEmptyException");
        }
        String reset = groups(c, "--reset-offsets", "--group", group, "--topic", c.topic() + ":0", "--to-offset", "4", "--execute");
        Tools.matches(reset, "(?m)^" + group + " +" + c.topic() + " +0 +4 *$");
        Tools.matches(groups(c, "--describe", "--group", group), "(?m)^" + group + " +" + c.topic() + " +0 +4 +10 +6 ");
        Tools.matches(groups(c, "--delete-offsets", "--group", group, "--topic", c.topic() + ":1"), "(?m)^" + c.topic() + " +1 +Successful");
        Tools.has(groups(c, "--delete", "--group", group), "was successful");
        Compat.check(!groups(c, "--list").contains(group), "the deleted group is still listed");
    }

    private static void verifiableConsumer(Compat.Context c, String protocol) throws Exception {
        create(c, 1, Map.of());
        numbers(c, 10);
        String said = Tools.tool("VerifiableConsumer", "", "--bootstrap-server", c.bootstrap(), "--topic", c.topic(), "--group-id",
            c.topic("group"), "--group-protocol", protocol, "--max-messages", "10", "--reset-policy", "earliest");
        Tools.has(said, "\"name\":\"partitions_assigned\"");
        Tools.has(said, "\"count\":10");
        Tools.matches(said, "\"name\":\"offsets_committed\".*\"offset\":10.*\"success\":true");
        Tools.has(said, "\"name\":\"shutdown_complete\"");
    }

    private static void consumerPerfTest(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        numbers(c, 10_000);
        Tools.matches(Tools.tool("ConsumerPerformance", "", "--bootstrap-server", c.bootstrap(), "--topic", c.topic(), "--num-records", "10000",
            "--hide-header"), ", 10000, ");
    }

    /** Kafka's decoder reads what the broker has written of a group in each protocol, and of its offsets. */
    private static void dumpOffsets(Compat.Context c) throws Exception {
        if (c.data() == null) {
            throw new Compat.Skip("needs --data, the broker's log directory");
        }
        create(c, 1, Map.of());
        numbers(c, 3);
        for (String protocol : List.of("classic", "consumer")) {
            String group = c.topic(protocol);
            try (var reader = reader(c, Map.of("group.id", group, "group.protocol", protocol))) {
                reader.consumer().subscribe(List.of(c.topic()));
                take(reader.consumer(), 3);
                reader.consumer().commitSync();
            }
            String said = Tools.tool("DumpLogSegments", "", "--offsets-decoder", "--print-data-log", "--files", offsetsLog(c, group));
            List<String> records = Arrays.stream(said.split("\n")).filter(line -> line.contains("\"" + group + "\"")).toList();
            String own = String.join("\n", records);
            Tools.has(own, "{\"type\":\"1\",\"data\":{\"group\":\"" + group + "\",\"topic\":\"" + c.topic() + "\",\"partition\":0}}");
            Tools.has(own, "\"offset\":3");
            List<Integer> kinds = protocol.equals("classic") ? List.of(2) : List.of(3, 5, 6, 7, 8);
            for (int kind : kinds) {
                Tools.has(own, "{\"type\":\"" + kind + "\",\"data\":{\"group");
            }
            Compat.check(!said.contains("isvalid: false") && !own.contains("unknown"), "not all is understood: " + own);
        }
    }

    // What they are written with

    /** Writes 0, 1, ... into partition 0. */
    private static void numbers(Compat.Context c, int count) throws Exception {
        try (var producer = producer(c, Map.of())) {
            send(producer, numbered(c.topic(), 0, count));
        }
    }

    private static String consumer(Compat.Context c, String... typed) throws Exception {
        return Tools.tool("consumer.ConsoleConsumer", "", Tools.with(new String[] {"--bootstrap-server", c.bootstrap()}, typed));
    }

    private static String groups(Compat.Context c, String... typed) throws Exception {
        return Tools.tool("consumer.group.ConsumerGroupCommand", "", Tools.with(new String[] {"--bootstrap-server", c.bootstrap()}, typed));
    }

    /** Where the coordinator of a group writes: into the partition that its name hashes to. */
    private static String offsetsLog(Compat.Context c, String group) throws Exception {
        try (var admin = admin(c)) {
            String topic = "__consumer_offsets";
            int partitions = get(admin.describeTopics(Set.of(topic)).allTopicNames()).get(topic).partitions().size();
            return c.data() + "/" + topic + "-" + Math.abs(group.hashCode()) % partitions + "/00000000000000000000.log";
        }
    }
}
