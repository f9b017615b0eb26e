import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.TreeMap;
import java.util.stream.IntStream;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.consumer.ConsumerRebalanceListener;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.CooperativeStickyAssignor;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.RangeAssignor;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.GroupType;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.ByteArrayDeserializer;

/**
 * Groups whose members come and go while records are written. Every member commits what it has read before it gives a partition
 * up, so every record must be read once, and never has a partition two owners: not with any assignor, nor while a group moves from
 * one protocol to the other. In such a move a member may be told that it has lost its partitions: that its generation is over.
 */
final class Groups extends Calls {
    private static final Map<String, Object> RANGE = classic(RangeAssignor.class), COOPERATIVE = classic(CooperativeStickyAssignor.class);
    private static final Map<String, Object> UNIFORM = Map.of("group.protocol", "consumer", "group.remote.assignor", "uniform");
    private static final Map<String, Object> RANGE_848 = Map.of("group.protocol", "consumer", "group.remote.assignor", "range");

    static final List<Compat.Test> TESTS = List.of(
        new Compat.Test("java.group.classic_range", c -> comeAndGo(c, RANGE)),
        new Compat.Test("java.group.classic_cooperative", c -> comeAndGo(c, COOPERATIVE)),
        new Compat.Test("java.group.consumer_uniform", c -> comeAndGo(c, UNIFORM)),
        new Compat.Test("java.group.consumer_range", c -> comeAndGo(c, RANGE_848)),
        new Compat.Test("java.group.upgrade_and_back_range", c -> upgradeAndBack(c, RANGE)),
        new Compat.Test("java.group.upgrade_and_back_cooperative", c -> upgradeAndBack(c, COOPERATIVE)));

    private static final int PARTITIONS = 6;

    private static Map<String, Object> classic(Class<?> assignor) {
        return Map.of("group.protocol", "classic", "heartbeat.interval.ms", 300, "partition.assignment.strategy", assignor.getName());
    }

    private static void comeAndGo(Compat.Context c, Map<String, Object> how) throws Exception {
        try (var group = new Group(c)) {
            group.ledger.mayLose = false;
            Member first = group.join(how);
            group.settles();
            Member second = group.join(how);
            group.settles();
            group.join(how);
            group.settles();
            group.leave(first);
            group.settles();
            group.leave(second);
            group.settles();
        }
    }

    /** One by one the members are replaced by members of the other protocol; the group is of the new type as soon as one is. */
    private static void upgradeAndBack(Compat.Context c, Map<String, Object> classic) throws Exception {
        try (var group = new Group(c)) {
            Member first = group.join(classic), second = group.join(classic);
            group.settles();
            Compat.equal(group.type(), GroupType.CLASSIC, "the group's type");
            Member third = group.join(UNIFORM);
            group.settles();
            Compat.equal(group.type(), GroupType.CONSUMER, "the group's type with one member of each protocol");
            group.leave(first);
            group.settles();
            Member fourth = group.join(UNIFORM);
            group.leave(second);
            group.settles();
            Compat.equal(group.type(), GroupType.CONSUMER, "the group's type after the upgrade");
            group.join(classic);
            group.settles();
            group.leave(third);
            group.settles();
            group.join(classic);
            group.leave(fourth);
            group.settles();
            Compat.equal(group.type(), GroupType.CLASSIC, "the group's type after the downgrade");
        }
    }

    // What they are written with

    /** A group on a topic of its own. */
    private static final class Group implements AutoCloseable {
        private final Compat.Context c;
        private final Ledger ledger = new Ledger();
        private final List<Member> members = new ArrayList<>();
        private int written;

        Group(Compat.Context c) throws Exception {
            this.c = c;
            create(c, PARTITIONS, Map.of());
        }

        Member join(Map<String, Object> how) {
            Member member = new Member(c, how, ledger, ledger.names++);
            members.add(member);
            return member;
        }

        void leave(Member member) throws Exception {
            members.remove(member);
            member.close();
        }

        /** Records written while the group rebalances are read, and in the end each member owns as much as the next one. */
        void settles() throws Exception {
            try (var producer = producer(c, Map.of())) {
                for (int round = 0; round < 10; round++) {
                    int first = written;
                    send(producer, IntStream.range(0, PARTITIONS).mapToObj(p ->
                        new ProducerRecord<byte[], byte[]>(c.topic(), p, null, String.valueOf(first + p).getBytes())).toList());
                    written += PARTITIONS;
                }
            }
            long end = System.nanoTime() + PATIENCE.toNanos();
            while (!ledger.settled(members.size(), written)) {
                for (Member member : members) {
                    Compat.check(member.trouble == null, "member " + member.name + " has ended: " + member.trouble);
                }
                Compat.check(System.nanoTime() < end, members.size() + " members do not settle: " + ledger);
                Thread.sleep(10);
            }
            Compat.check(ledger.wrong.isEmpty(), ledger.wrong.toString());
        }

        GroupType type() throws Exception {
            try (Admin admin = admin(c)) {
                return get(admin.describeConsumerGroups(Set.of(c.topic())).all()).get(c.topic()).type();
            }
        }

        @Override
        public void close() throws Exception {
            for (Member member : members) {
                member.close();
            }
        }
    }

    /** Who owns which partition by what the members were told, and which records they have read. */
    private static final class Ledger {
        final List<String> wrong = new ArrayList<>();
        boolean mayLose = true;
        int names;
        private final Map<Integer, Integer> owners = new TreeMap<>();
        private final Set<Integer> read = new HashSet<>(), lost = new HashSet<>();

        synchronized void assigned(int member, Collection<TopicPartition> partitions) {
            for (TopicPartition p : partitions) {
                Integer owner = owners.put(p.partition(), member);
                if (owner != null) {
                    wrong.add("partition " + p.partition() + " is given to member " + member + " while member " + owner + " has it");
                }
            }
        }

        synchronized void givenUp(int member, Collection<TopicPartition> partitions) {
            partitions.forEach(p -> owners.remove(p.partition(), member));
        }

        /** What was read of them and not committed is read again. */
        synchronized void lost(int member, Collection<TopicPartition> partitions) {
            if (!mayLose) {
                wrong.add("member " + member + " has lost " + partitions);
            }
            partitions.forEach(p -> lost.add(p.partition()));
            givenUp(member, partitions);
        }

        synchronized void read(int member, ConsumerRecord<byte[], byte[]> record) {
            int number = Integer.parseInt(new String(record.value()));
            if (!read.add(number) && !lost.contains(record.partition())) {
                wrong.add("record " + number + " is read again, by member " + member);
            }
            if (!Integer.valueOf(member).equals(owners.get(record.partition()))) {
                wrong.add("member " + member + " reads partition " + record.partition() + ": " + owners);
            }
        }

        synchronized boolean settled(int members, int written) {
            Map<Integer, Integer> sizes = new HashMap<>();
            owners.values().forEach(member -> sizes.merge(member, 1, Integer::sum));
            return !wrong.isEmpty() || owners.size() == PARTITIONS && sizes.size() == members && read.size() == written
                && sizes.values().stream().allMatch(size -> size == PARTITIONS / members);
        }

        @Override
        public synchronized String toString() {
            return "partitions and their owners are " + owners + ", " + read.size() + " records are read";
        }
    }

    /** Reads in a thread of its own until it is closed. */
    private static final class Member implements AutoCloseable, ConsumerRebalanceListener {
        final int name;
        volatile Throwable trouble;
        private final Ledger ledger;
        private final KafkaConsumer<byte[], byte[]> consumer;
        private final Thread thread;
        private volatile boolean goesOn = true;

        Member(Compat.Context c, Map<String, Object> how, Ledger ledger, int name) {
            this.ledger = ledger;
            this.name = name;
            Map<String, Object> all = new HashMap<>(Map.of("bootstrap.servers", c.bootstrap(), "group.id", c.topic(),
                "auto.offset.reset", "earliest", "enable.auto.commit", "false", "fetch.max.wait.ms", 100));
            all.putAll(how);
            consumer = new KafkaConsumer<>(all, new ByteArrayDeserializer(), new ByteArrayDeserializer());
            consumer.subscribe(List.of(c.topic()), this);
            thread = new Thread(this::run, "member " + name);
            thread.setDaemon(true);
            thread.start();
        }

        private void run() {
            try (consumer) {
                while (goesOn) {
                    var records = consumer.poll(Duration.ofMillis(100));
                    records.forEach(record -> ledger.read(name, record));
                    // A rebalance may have begun; then the commit comes with the revocation, or the partitions are kept.
                    if (!records.isEmpty()) {
                        consumer.commitAsync();
                    }
                }
            } catch (Throwable e) {
                trouble = e;
            }
        }

        @Override
        public void onPartitionsAssigned(Collection<TopicPartition> partitions) {
            ledger.assigned(name, partitions);
        }

        @Override
        public void onPartitionsRevoked(Collection<TopicPartition> partitions) {
            consumer.commitSync();
            ledger.givenUp(name, partitions);
        }

        @Override
        public void onPartitionsLost(Collection<TopicPartition> partitions) {
            ledger.lost(name, partitions);
        }

        @Override
        public void close() throws Exception {
            goesOn = false;
            thread.join(PATIENCE.toMillis());
            Compat.check(!thread.isAlive(), "member " + name + " does not end");
            Compat.check(trouble == null, "member " + name + ": " + trouble);
        }
    }
}
