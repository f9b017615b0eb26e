import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.GroupListing;
import org.apache.kafka.clients.admin.ListGroupsOptions;
import org.apache.kafka.clients.admin.MemberDescription;
import org.apache.kafka.clients.admin.MemberToRemove;
import org.apache.kafka.clients.admin.RemoveMembersFromConsumerGroupOptions;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.OffsetAndMetadata;
import org.apache.kafka.common.GroupState;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.errors.GroupIdNotFoundException;
import org.apache.kafka.common.errors.GroupNotEmptyException;
import org.apache.kafka.common.errors.GroupSubscribedToTopicException;
import org.apache.kafka.common.errors.InvalidConfigurationException;
import org.apache.kafka.common.errors.UnknownMemberIdException;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/** Everything that the admin client can ask of groups, of both types. */
final class GroupAdmin extends Calls {
    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("java.group_admin.classic", c -> life(c, GroupType.CLASSIC)),
        new Compat.Test("java.group_admin.consumer", c -> life(c, GroupType.CONSUMER)),
        new Compat.Test("java.group_admin.members_removed", GroupAdmin::membersRemoved),
        new Compat.Test("java.group_admin.offsets_of_nobody", GroupAdmin::offsetsOfNobody),
        new Compat.Test("java.group_admin.configs", GroupAdmin::configs));

    /** A group is listed and described with its member; while it has one, it and its offsets cannot be altered; afterwards they can. */
    private static void life(Compat.Context c, GroupType type) throws Exception {
        create(c, 2, Map.of());
        String group = c.topic("group");
        TopicPartition zero = new TopicPartition(c.topic(), 0), one = new TopicPartition(c.topic(), 1);
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(zero, new OffsetAndMetadata(0, "zero"), one, new OffsetAndMetadata(0, "one"));
        try (Admin admin = admin(c)) {
            refused(GroupIdNotFoundException.class, () -> get(admin.describeConsumerGroups(Set.of(group)).all()));
            try (var member = new Member(c, group, type, "one")) {
                member.polls(() -> owned(admin, group).equals(Set.of(zero, one)), "the member owns both partitions");
                member.consumer.commitSync(offsets);
                Compat.equal(listed(admin, group, new ListGroupsOptions()), type + " consumer Optional[Stable]", "the listing");
                Compat.equal(listed(admin, group, ListGroupsOptions.forConsumerGroups()), type + " consumer Optional[Stable]", "as a consumer group");
                Compat.equal(listed(admin, group, new ListGroupsOptions().inGroupStates(Set.of(GroupState.EMPTY))), null, "among the empty");
                Compat.equal(listed(admin, group, new ListGroupsOptions().withTypes(Set.of(GroupType.SHARE))), null, "among share groups");
                var described = get(admin.describeConsumerGroups(Set.of(group)).all()).get(group);
                Compat.equal(described.groupState(), GroupState.STABLE, "the state");
                Compat.equal(described.type(), type, "the type");
                Compat.equal(described.partitionAssignor(), type == GroupType.CLASSIC ? "range" : "uniform", "the assignor");
                Compat.equal(described.coordinator().id(), get(admin.describeCluster().controller()).id(), "the coordinator");
                MemberDescription found = described.members().iterator().next();
                Compat.equal(found.clientId() + " " + found.groupInstanceId().orElse("") + " " + found.host(), "mine one /127.0.0.1", "the member");
                Compat.equal(found.assignment().topicPartitions(), Set.of(zero, one), "its partitions");
                Compat.equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()), offsets, "the offsets");
                refused(UnknownMemberIdException.class, () -> get(admin.alterConsumerGroupOffsets(group, offsets).all()));
                refused(GroupSubscribedToTopicException.class, () -> get(admin.deleteConsumerGroupOffsets(group, Set.of(zero)).all()));
                refused(GroupNotEmptyException.class, () -> get(admin.deleteConsumerGroups(Set.of(group)).all()));
                // A static member goes without leaving; so it is removed, by its name.
                get(admin.removeMembersFromConsumerGroup(group,
                    new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("one")))).all());
            }
            Compat.equal(listed(admin, group, new ListGroupsOptions()), type + " consumer Optional[Empty]", "the listing when all are gone");
            get(admin.alterConsumerGroupOffsets(group, Map.of(zero, new OffsetAndMetadata(7))).all());
            get(admin.deleteConsumerGroupOffsets(group, Set.of(one)).all());
            Compat.equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()),
                Map.of(zero, new OffsetAndMetadata(7)), "the offsets after both");
            get(admin.deleteConsumerGroups(Set.of(group)).all());
            Compat.equal(listed(admin, group, new ListGroupsOptions()), null, "the listing of the deleted group");
            refused(GroupIdNotFoundException.class, () -> get(admin.deleteConsumerGroups(Set.of(group)).all()));
        }
    }

    /** All members of a classic group are removed at once; one of a name that is not there is refused. */
    private static void membersRemoved(Compat.Context c) throws Exception {
        create(c, 2, Map.of());
        String group = c.topic("group");
        try (Admin admin = admin(c); var member = new Member(c, group, GroupType.CLASSIC, null)) {
            member.polls(() -> owned(admin, group).size() == 2, "the member owns both partitions");
            refused(UnknownMemberIdException.class, () -> get(admin.removeMembersFromConsumerGroup(group,
                new RemoveMembersFromConsumerGroupOptions(Set.of(new MemberToRemove("nobody")))).all()));
            get(admin.removeMembersFromConsumerGroup(group, new RemoveMembersFromConsumerGroupOptions()).all());
            Compat.equal(owned(admin, group), Set.of(), "the partitions that somebody owns");
        }
    }

    /** Offsets of a group that never had a member. */
    private static void offsetsOfNobody(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        String group = c.topic("group");
        Map<TopicPartition, OffsetAndMetadata> offsets = Map.of(new TopicPartition(c.topic(), 0), new OffsetAndMetadata(5, "m"));
        try (Admin admin = admin(c)) {
            Compat.equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()), Map.of(), "the offsets of no group");
            get(admin.alterConsumerGroupOffsets(group, offsets).all());
            Compat.equal(get(admin.listConsumerGroupOffsets(group).partitionsToOffsetAndMetadata()), offsets, "the offsets");
            Compat.equal(listed(admin, group, new ListGroupsOptions()), "Classic  Optional[Empty]", "the listing");
            get(admin.deleteConsumerGroups(Set.of(group)).all());
        }
    }

    /** A group's own configuration, before there is such a group. */
    private static void configs(Compat.Context c) throws Exception {
        var group = new ConfigResource(ConfigResource.Type.GROUP, c.topic("group"));
        String key = "consumer.session.timeout.ms";
        try (Admin admin = admin(c)) {
            alter(admin, group, new AlterConfigOp(new ConfigEntry(key, "50000"), AlterConfigOp.OpType.SET));
            await(() -> "50000".equals(entry(admin, group, key).value()), key + " is set");
            Compat.equal(entry(admin, group, key).source(), ConfigEntry.ConfigSource.DYNAMIC_GROUP_CONFIG, "its source");
            refused(InvalidConfigurationException.class,
                () -> alter(admin, group, new AlterConfigOp(new ConfigEntry(key, "1"), AlterConfigOp.OpType.SET)));
            alter(admin, group, new AlterConfigOp(new ConfigEntry(key, null), AlterConfigOp.OpType.DELETE));
            await(() -> "45000".equals(entry(admin, group, key).value()), key + " is the default again");
        }
    }

    // What they are written with

    private interface Question {
        boolean holds() throws Exception;
    }

    private static void await(Question question, String what) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!question.holds()) {
            Compat.check(System.nanoTime() < end, "not in time: " + what);
            Thread.sleep(10);
        }
    }

    private static void alter(Admin admin, ConfigResource group, AlterConfigOp op) throws Exception {
        get(admin.incrementalAlterConfigs(Map.of(group, List.of(op))).all());
    }

    private static ConfigEntry entry(Admin admin, ConfigResource group, String key) throws Exception {
        return configs(admin, group).get(key);
    }

    /** How a list shows the group, or null where it does not. */
    private static String listed(Admin admin, String group, ListGroupsOptions options) throws Exception {
        for (GroupListing found : get(admin.listGroups(options).all())) {
            if (found.groupId().equals(group)) {
                return found.type().get() + " " + found.protocol() + " " + found.groupState();
            }
        }
        return null;
    }

    private static Set<TopicPartition> owned(Admin admin, String group) throws Exception {
        try {
            return get(admin.describeConsumerGroups(Set.of(group)).all()).get(group).members().stream()
                .flatMap(member -> member.assignment().topicPartitions().stream()).collect(Collectors.toSet());
        } catch (ExecutionException e) {
            Compat.equal(e.getCause().getClass(), GroupIdNotFoundException.class, "why the group cannot be described");
            return Set.of();
        }
    }

    /** A member that polls only when it is told to. */
    private static final class Member implements AutoCloseable {
        final KafkaConsumer<byte[], byte[]> consumer;

        Member(Compat.Context c, String group, GroupType type, String instance) {
            Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", c.bootstrap(), "group.id", group, "client.id", "mine",
                "group.protocol", type.toString().toLowerCase(), "enable.auto.commit", "false"));
            if (instance != null) {
                all.put("group.instance.id", instance);
            }
            consumer = new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            consumer.subscribe(List.of(c.topic()));
        }

        void polls(Question until, String what) throws Exception {
            await(() -> {
                consumer.poll(Duration.ofMillis(50));
                return until.holds();
            }, what);
        }

        @Override
        public void close() {
            consumer.close();
        }
    }
}
