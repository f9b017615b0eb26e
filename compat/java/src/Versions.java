import java.io.DataInputStream;
import java.io.OutputStream;
import java.net.Socket;
import java.nio.ByteBuffer;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.Uuid;
import org.apache.kafka.common.message.ApiMessageType;
import org.apache.kafka.common.message.ApiVersionsRequestData;
import org.apache.kafka.common.message.ApiVersionsResponseData;
import org.apache.kafka.common.message.ConsumerGroupDescribeRequestData;
import org.apache.kafka.common.message.ConsumerGroupDescribeResponseData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatRequestData;
import org.apache.kafka.common.message.ConsumerGroupHeartbeatResponseData;
import org.apache.kafka.common.message.DeleteGroupsRequestData;
import org.apache.kafka.common.message.DeleteGroupsResponseData;
import org.apache.kafka.common.message.DescribeGroupsRequestData;
import org.apache.kafka.common.message.DescribeGroupsResponseData;
import org.apache.kafka.common.message.FindCoordinatorRequestData;
import org.apache.kafka.common.message.FindCoordinatorResponseData;
import org.apache.kafka.common.message.HeartbeatRequestData;
import org.apache.kafka.common.message.HeartbeatResponseData;
import org.apache.kafka.common.message.JoinGroupRequestData;
import org.apache.kafka.common.message.JoinGroupResponseData;
import org.apache.kafka.common.message.LeaveGroupRequestData;
import org.apache.kafka.common.message.LeaveGroupResponseData;
import org.apache.kafka.common.message.ListGroupsRequestData;
import org.apache.kafka.common.message.ListGroupsResponseData;
import org.apache.kafka.common.message.OffsetCommitRequestData;
import org.apache.kafka.common.message.OffsetCommitResponseData;
import org.apache.kafka.common.message.OffsetDeleteRequestData;
import org.apache.kafka.common.message.OffsetDeleteResponseData;
import org.apache.kafka.common.message.OffsetFetchRequestData;
import org.apache.kafka.common.message.OffsetFetchResponseData;
import org.apache.kafka.common.message.RequestHeaderData;
import org.apache.kafka.common.message.SyncGroupRequestData;
import org.apache.kafka.common.message.SyncGroupResponseData;
import org.apache.kafka.common.protocol.ApiKeys;
import org.apache.kafka.common.protocol.ApiMessage;
import org.apache.kafka.common.protocol.ByteBufferAccessor;
import org.apache.kafka.common.protocol.MessageUtil;

/**
 * Every version of every request about groups, in the course of a group's life, read by Kafka's own decoder to the last byte. Round n
 * asks each in version n, or in that of its first or last which is next to n.
 */
final class Versions extends Calls {
    static final List<Compat.Test> TESTS = List.of(new Compat.Test("java.versions_of_group_requests", Versions::all));

    private static final List<ApiKeys> KEYS = List.of(ApiKeys.OFFSET_COMMIT, ApiKeys.OFFSET_FETCH, ApiKeys.FIND_COORDINATOR, ApiKeys.JOIN_GROUP,
        ApiKeys.HEARTBEAT, ApiKeys.LEAVE_GROUP, ApiKeys.SYNC_GROUP, ApiKeys.DESCRIBE_GROUPS, ApiKeys.LIST_GROUPS, ApiKeys.DELETE_GROUPS,
        ApiKeys.OFFSET_DELETE, ApiKeys.CONSUMER_GROUP_HEARTBEAT, ApiKeys.CONSUMER_GROUP_DESCRIBE);
    private static final short NONE = 0, UNKNOWN_MEMBER_ID = 25, MEMBER_ID_REQUIRED = 79;

    private static void all(Compat.Context c) throws Exception {
        create(c, 1, Map.of());
        try (Admin admin = admin(c); var wire = new Wire(c)) {
            Uuid topic = get(admin.describeTopics(Set.of(c.topic())).allTopicNames()).get(c.topic()).topicId();
            Map<ApiKeys, Short> last = wire.lastVersions();
            for (ApiKeys key : KEYS) {
                Compat.equal(last.get(key), key.latestVersion(), "the last version of " + key);
            }
            for (short n = 0; n <= last.values().stream().max(Short::compare).get(); n++) {
                wire.round = n;
                String group = c.topic("group-" + n), next = c.topic("next-" + n);
                new Life(wire, c.topic(), topic, group).classic();
                new Life(wire, c.topic(), topic, next).consumer();
            }
        }
    }

    /** The steps of one group. */
    private record Life(Wire wire, String topic, Uuid topicId, String group) {
        void classic() throws Exception {
            findCoordinator();
            JoinGroupResponseData joined = join("");
            if (joined.errorCode() == MEMBER_ID_REQUIRED) {
                Compat.check(wire.version(ApiKeys.JOIN_GROUP) >= 4, "an id is required of a member too early");
                joined = join(joined.memberId());
            }
            ok(joined.errorCode(), "JoinGroup");
            String member = joined.memberId();
            Compat.equal(joined.leader(), member, "the leader");
            Compat.equal(joined.members().get(0).metadata().length, 6, "the length of the leader's metadata");
            SyncGroupResponseData synced = wire.ask(ApiKeys.SYNC_GROUP, new SyncGroupRequestData().setGroupId(group).setMemberId(member)
                .setGenerationId(joined.generationId()).setProtocolType(wire.from(ApiKeys.SYNC_GROUP, 5) ? "consumer" : null)
                .setProtocolName(wire.from(ApiKeys.SYNC_GROUP, 5) ? "range" : null).setAssignments(List.of(
                    new SyncGroupRequestData.SyncGroupRequestAssignment().setMemberId(member).setAssignment(new byte[] {1, 2, 3}))));
            ok(synced.errorCode(), "SyncGroup");
            Compat.equal(synced.assignment().length, 3, "the length of the assignment");
            HeartbeatResponseData beat = wire.ask(ApiKeys.HEARTBEAT,
                new HeartbeatRequestData().setGroupId(group).setMemberId(member).setGenerationId(joined.generationId()));
            ok(beat.errorCode(), "Heartbeat");
            commit(member, joined.generationId());
            fetch(7);
            DescribeGroupsResponseData described = wire.ask(ApiKeys.DESCRIBE_GROUPS, new DescribeGroupsRequestData().setGroups(List.of(group)));
            var found = described.groups().get(0);
            ok(found.errorCode(), "DescribeGroups");
            Compat.equal(found.groupState() + " " + found.protocolData() + " " + found.members().get(0).memberId(), "Stable range " + member,
                "the description");
            list("Stable");
            LeaveGroupResponseData left = wire.ask(ApiKeys.LEAVE_GROUP, wire.from(ApiKeys.LEAVE_GROUP, 3)
                ? new LeaveGroupRequestData().setGroupId(group).setMembers(List.of(
                    new LeaveGroupRequestData.MemberIdentity().setMemberId(member), new LeaveGroupRequestData.MemberIdentity().setMemberId("nobody")))
                : new LeaveGroupRequestData().setGroupId(group).setMemberId(member));
            ok(left.errorCode(), "LeaveGroup");
            if (wire.from(ApiKeys.LEAVE_GROUP, 3)) {
                Compat.equal(left.members().stream().map(LeaveGroupResponseData.MemberResponse::errorCode).toList(),
                    List.of(NONE, UNKNOWN_MEMBER_ID), "the error codes of two members that leave");
            }
            OffsetDeleteResponseData deleted = wire.ask(ApiKeys.OFFSET_DELETE, new OffsetDeleteRequestData().setGroupId(group).setTopics(
                new OffsetDeleteRequestData.OffsetDeleteRequestTopicCollection(List.of(new OffsetDeleteRequestData.OffsetDeleteRequestTopic()
                    .setName(topic).setPartitions(List.of(new OffsetDeleteRequestData.OffsetDeleteRequestPartition()))).iterator())));
            ok(deleted.errorCode(), "OffsetDelete");
            ok(deleted.topics().iterator().next().partitions().iterator().next().errorCode(), "OffsetDelete for the partition");
            fetch(-1);
            delete();
        }

        void consumer() throws Exception {
            String member = wire.from(ApiKeys.CONSUMER_GROUP_HEARTBEAT, 1) ? Uuid.randomUuid().toString() : "";
            ConsumerGroupHeartbeatResponseData beat = heartbeat(new ConsumerGroupHeartbeatRequestData().setMemberId(member)
                .setRebalanceTimeoutMs(10_000).setSubscribedTopicNames(List.of(topic)).setTopicPartitions(List.of()));
            Compat.check(!beat.memberId().isEmpty() && beat.memberEpoch() > 0, "no member: " + beat);
            Compat.equal(beat.assignment().topicPartitions().get(0).topicId(), topicId, "the topic of the assignment");
            commit(beat.memberId(), beat.memberEpoch());
            fetch(wire.from(ApiKeys.OFFSET_COMMIT, 9) ? 7 : -1);
            ConsumerGroupDescribeResponseData described =
                wire.ask(ApiKeys.CONSUMER_GROUP_DESCRIBE, new ConsumerGroupDescribeRequestData().setGroupIds(List.of(group)));
            var found = described.groups().get(0);
            ok(found.errorCode(), "ConsumerGroupDescribe");
            var owner = found.members().get(0);
            Compat.equal(owner.memberId() + " " + owner.subscribedTopicNames() + " " + owner.targetAssignment().topicPartitions().get(0).topicName(),
                beat.memberId() + " [" + topic + "] " + topic, "the description");
            list(null);
            heartbeat(new ConsumerGroupHeartbeatRequestData().setMemberId(beat.memberId()).setMemberEpoch(-1));
            delete();
        }

        private void findCoordinator() throws Exception {
            FindCoordinatorResponseData found = wire.ask(ApiKeys.FIND_COORDINATOR, wire.from(ApiKeys.FIND_COORDINATOR, 4)
                ? new FindCoordinatorRequestData().setCoordinatorKeys(List.of(group)) : new FindCoordinatorRequestData().setKey(group));
            ok(wire.from(ApiKeys.FIND_COORDINATOR, 4) ? found.coordinators().get(0).errorCode() : found.errorCode(), "FindCoordinator");
            Compat.check((wire.from(ApiKeys.FIND_COORDINATOR, 4) ? found.coordinators().get(0).port() : found.port()) > 0, "no port: " + found);
        }

        private JoinGroupResponseData join(String member) throws Exception {
            return wire.ask(ApiKeys.JOIN_GROUP, new JoinGroupRequestData().setGroupId(group).setMemberId(member).setProtocolType("consumer")
                .setSessionTimeoutMs(10_000).setRebalanceTimeoutMs(wire.from(ApiKeys.JOIN_GROUP, 1) ? 10_000 : -1)
                .setProtocols(new JoinGroupRequestData.JoinGroupRequestProtocolCollection(List.of(
                    new JoinGroupRequestData.JoinGroupRequestProtocol().setName("range").setMetadata(new byte[6])).iterator())));
        }

        private ConsumerGroupHeartbeatResponseData heartbeat(ConsumerGroupHeartbeatRequestData data) throws Exception {
            ConsumerGroupHeartbeatResponseData beat = wire.ask(ApiKeys.CONSUMER_GROUP_HEARTBEAT, data.setGroupId(group));
            ok(beat.errorCode(), "ConsumerGroupHeartbeat: " + beat.errorMessage());
            return beat;
        }

        private void commit(String member, int epoch) throws Exception {
            boolean byId = wire.from(ApiKeys.OFFSET_COMMIT, 10);
            var partition = new OffsetCommitRequestData.OffsetCommitRequestPartition().setCommittedOffset(7).setCommittedMetadata("m");
            OffsetCommitResponseData done = wire.ask(ApiKeys.OFFSET_COMMIT, new OffsetCommitRequestData().setGroupId(group).setMemberId(member)
                .setGenerationIdOrMemberEpoch(epoch).setTopics(List.of(new OffsetCommitRequestData.OffsetCommitRequestTopic()
                    .setName(byId ? "" : topic).setTopicId(byId ? topicId : Uuid.ZERO_UUID).setPartitions(List.of(partition)))));
            short code = done.topics().get(0).partitions().get(0).errorCode();
            if (group.contains("next") && !wire.from(ApiKeys.OFFSET_COMMIT, 9)) {
                Compat.equal(code, (short) 35, "the error code of a commit in a version from before KIP-848");
            } else {
                ok(code, "OffsetCommit");
            }
        }

        /** For the group's one offset, or -1 where there is none. */
        private void fetch(long want) throws Exception {
            boolean many = wire.from(ApiKeys.OFFSET_FETCH, 8), byId = wire.from(ApiKeys.OFFSET_FETCH, 10);
            var request = new OffsetFetchRequestData();
            if (many) {
                request.setGroups(List.of(new OffsetFetchRequestData.OffsetFetchRequestGroup().setGroupId(group).setTopics(List.of(
                    new OffsetFetchRequestData.OffsetFetchRequestTopics().setName(byId ? "" : topic).setTopicId(byId ? topicId : Uuid.ZERO_UUID)
                        .setPartitionIndexes(List.of(0))))));
            } else {
                request.setGroupId(group).setTopics(
                    List.of(new OffsetFetchRequestData.OffsetFetchRequestTopic().setName(topic).setPartitionIndexes(List.of(0))));
            }
            OffsetFetchResponseData answer = wire.ask(ApiKeys.OFFSET_FETCH, request);
            ok(many ? answer.groups().get(0).errorCode() : answer.errorCode(), "OffsetFetch");
            Compat.equal(many ? answer.groups().get(0).topics().get(0).partitions().get(0).committedOffset()
                : answer.topics().get(0).partitions().get(0).committedOffset(), want, "the offset of " + group);
        }

        private void list(String state) throws Exception {
            ListGroupsResponseData listed = wire.ask(ApiKeys.LIST_GROUPS, new ListGroupsRequestData());
            ok(listed.errorCode(), "ListGroups");
            var found = listed.groups().stream().filter(g -> g.groupId().equals(group)).findFirst().orElseThrow();
            Compat.equal(found.protocolType(), "consumer", "the protocol type in the list");
            if (state != null && wire.from(ApiKeys.LIST_GROUPS, 4)) {
                Compat.equal(found.groupState(), state, "the state in the list");
            }
        }

        private void delete() throws Exception {
            DeleteGroupsResponseData deleted = wire.ask(ApiKeys.DELETE_GROUPS, new DeleteGroupsRequestData().setGroupsNames(List.of(group)));
            ok(deleted.results().iterator().next().errorCode(), "DeleteGroups");
        }

        private void ok(short code, String what) {
            Compat.equal(code, NONE, "in round " + wire.round + " the error code of " + what);
        }
    }

    /** A connection that asks in the versions of a round. */
    private static final class Wire implements AutoCloseable {
        short round;
        private final Socket socket;
        private final DataInputStream in;
        private final OutputStream out;
        private final Map<ApiKeys, Short> first = new EnumMap<>(ApiKeys.class), last = new EnumMap<>(ApiKeys.class);
        private int correlationId;

        Wire(Compat.Context c) throws Exception {
            int colon = c.bootstrap().lastIndexOf(':');
            socket = new Socket(c.bootstrap().substring(0, colon), Integer.parseInt(c.bootstrap().substring(colon + 1)));
            socket.setTcpNoDelay(true);
            socket.setSoTimeout((int) PATIENCE.toMillis());
            in = new DataInputStream(socket.getInputStream());
            out = socket.getOutputStream();
        }

        Map<ApiKeys, Short> lastVersions() throws Exception {
            ApiVersionsResponseData answer = ask(ApiKeys.API_VERSIONS, (short) 0, new ApiVersionsRequestData());
            answer.apiKeys().forEach(range -> {
                if (ApiKeys.hasId(range.apiKey()) && KEYS.contains(ApiKeys.forId(range.apiKey()))) {
                    first.put(ApiKeys.forId(range.apiKey()), range.minVersion());
                    last.put(ApiKeys.forId(range.apiKey()), range.maxVersion());
                }
            });
            return last;
        }

        short version(ApiKeys key) {
            return (short) Math.max(first.get(key), Math.min(last.get(key), round));
        }

        boolean from(ApiKeys key, int version) {
            return version(key) >= version;
        }

        <T extends ApiMessage> T ask(ApiKeys key, ApiMessage request) throws Exception {
            return ask(key, version(key), request);
        }

        @SuppressWarnings("unchecked")
        private <T extends ApiMessage> T ask(ApiKeys key, short version, ApiMessage request) throws Exception {
            var header = new RequestHeaderData().setRequestApiKey(key.id).setRequestApiVersion(version).setCorrelationId(++correlationId)
                .setClientId("versions");
            ByteBuffer head = MessageUtil.toByteBufferAccessor(header, key.requestHeaderVersion(version)).buffer();
            ByteBuffer body = MessageUtil.toByteBufferAccessor(request, version).buffer();
            ByteBuffer frame = ByteBuffer.allocate(4 + head.remaining() + body.remaining());
            out.write(frame.putInt(frame.capacity() - 4).put(head).put(body).array());
            ByteBuffer answer = ByteBuffer.wrap(in.readNBytes(in.readInt()));
            Compat.equal(answer.getInt(), correlationId, "the correlation id");
            if (key.responseHeaderVersion(version) > 0) {
                Compat.equal(answer.get(), (byte) 0, "the number of tags in the header");
            }
            ApiMessage response = ApiMessageType.fromApiKey(key.id).newResponse();
            response.read(new ByteBufferAccessor(answer), version);
            Compat.equal(answer.remaining(), 0, "the bytes behind the answer to " + key + " in version " + version);
            return (T) response;
        }

        @Override
        public void close() throws Exception {
            socket.close();
        }
    }
}
