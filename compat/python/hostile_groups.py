"""Requests about groups that are wrong, too many, or whose clients are gone. As in `hostile.py`, the answers are Kafka's own.

Members of the classic protocol join with version 1, the last in which a member needs no id to join.
"""
import struct
import time

from checks import equal, until
from frames import API_VERSIONS, PATIENCE_S, Closed, Connection, array, compact, compact_array, create_topic, frame, string
from hostile import then_polite

(OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, DESCRIBE_GROUPS, LIST_GROUPS,
 DELETE_GROUPS, OFFSET_DELETE, CONSUMER_GROUP_HEARTBEAT) = 8, 9, 10, 11, 12, 13, 14, 15, 16, 42, 47, 68
UNKNOWN_TOPIC, METADATA_TOO_LARGE, ILLEGAL_GENERATION, INCONSISTENT_PROTOCOL, INVALID_GROUP_ID, UNKNOWN_MEMBER = 3, 12, 22, 23, 24, 25
BAD_SESSION_TIMEOUT, REBALANCE_IN_PROGRESS, INVALID_REQUEST, GROUP_ID_NOT_FOUND = 26, 27, 42, 69
FENCED_EPOCH, UNSUPPORTED_ASSIGNOR, BAD_REGEX = 110, 112, 128
MANY = 10_000


def prepared(test):
    """Somebody has asked for a coordinator, so that `__consumer_offsets` is there."""
    def run(ctx):
        with Connection(ctx.bootstrap) as connection:
            until(lambda: found(connection) == 0, "a coordinator is found")
            until(lambda: committed(connection, ctx.topic(), "any") == (-1, 0), "the coordinator is ready")
        test(ctx)

    run.__name__ = test.__name__
    return then_polite(run)


# Requests by hand


def found(connection):
    return connection.ask(FIND_COORDINATOR, 0, string("any")).int16()


def bytes_of(data):
    return struct.pack(">i", len(data)) + data


def joining(group, member="", session_ms=10_000, rebalance_ms=10_000, kind="consumer", protocols=(("range", b""),)):
    chosen = array([string(name) + bytes_of(metadata) for name, metadata in protocols])
    return string(group) + struct.pack(">ii", session_ms, rebalance_ms) + string(member) + string(kind) + chosen


def joined(answer):
    """(error code, generation, own id, ids of all where this member leads)"""
    code, generation = answer.int16(), answer.int32()
    answer.string(), answer.string()
    own, members = answer.string(), []
    for _ in range(answer.int32()):
        members.append(answer.string())
        answer.bytes()
    return code, generation, own, members


def join(connection, *what, **more):
    return joined(connection.ask(JOIN_GROUP, 1, joining(*what, **more)))


def sync(connection, group, generation, member, assignments=()):
    """(error code, assignment)"""
    given = array([string(name) + bytes_of(data) for name, data in assignments])
    answer = connection.ask(SYNC_GROUP, 0, string(group) + struct.pack(">i", generation) + string(member) + given)
    return answer.int16(), answer.bytes()


def heartbeat(connection, group, generation, member):
    return connection.ask(HEARTBEAT, 0, string(group) + struct.pack(">i", generation) + string(member)).int16()


def commit(connection, group, topic, offset=1, generation=-1, member="", metadata=b"", partition=0):
    one = struct.pack(">iq", partition, offset) + string(metadata)
    body = string(group) + struct.pack(">i", generation) + string(member) + struct.pack(">q", -1) + array([string(topic) + array([one])])
    answer = connection.ask(OFFSET_COMMIT, 2, body)
    answer.int32(), answer.string(), answer.int32(), answer.int32()
    return answer.int16()


def committed(connection, group, topic):
    """(offset, error code)"""
    answer = connection.ask(OFFSET_FETCH, 1, string(group) + array([string(topic) + array([struct.pack(">i", 0)])]))
    answer.int32(), answer.string(), answer.int32(), answer.int32()
    offset, _ = answer.int64(), answer.string()
    return offset, answer.int16()


def deleted(connection, groups):
    answer = connection.ask(DELETE_GROUPS, 0, array([string(g) for g in groups]))
    answer.int32()
    return [(answer.string(), answer.int16()) for _ in range(answer.int32())]


def next_heartbeat(group, member="", epoch=0, instance=None, rebalance_ms=10_000, topics=(), pattern=None, assignor=None, owned=(), version=1):
    """KIP-848. `topics`, `pattern`, `assignor` and `owned` may be None."""
    def maybe(value):
        return b"\0" if value is None else compact(value)

    def several(items):
        return b"\0" if items is None else compact_array(items)

    return b"".join((
        b"\0", compact(group), compact(member), struct.pack(">i", epoch), maybe(instance), maybe(None), struct.pack(">i", rebalance_ms),
        several(None if topics is None else [compact(t) for t in topics]), maybe(pattern) if version else b"", maybe(assignor),
        several(owned), b"\0"))


def beat(connection, group, version=1, **what):
    """(error code, member's id, epoch)"""
    answer = connection.ask(CONSUMER_GROUP_HEARTBEAT, version, next_heartbeat(group, version=version, **what))
    answer.int8(), answer.int32()
    code, _ = answer.int16(), answer.compact()
    return code, answer.compact(), answer.int32()


# Tests


def group_ids(ctx):
    """A group without a name is no group; any other name is one, however strange."""
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        equal(join(connection, "")[0], INVALID_GROUP_ID, "the error code of JoinGroup")
        equal(sync(connection, "", 1, "m")[0], INVALID_GROUP_ID, "the error code of SyncGroup")
        equal(heartbeat(connection, "", 1, "m"), INVALID_GROUP_ID, "the error code of Heartbeat")
        equal(beat(connection, "", member="m")[0], INVALID_REQUEST, "the error code of ConsumerGroupHeartbeat")
        for name in (b"a\0b", b"../../x", "групп/а 🐎".encode(), b"x" * 32_767, ctx.topic().encode()):
            equal(commit(connection, name, topic, 7), 0, f"the error code of a commit for {name[:20]!r}")
            equal(committed(connection, name, topic), (7, 0), f"the offset of {name[:20]!r}")
            code, generation, member, _ = join(connection, name)
            equal(code, 0, f"the error code of joining {name[:20]!r}")
            equal(sync(connection, name, generation, member, [(member, b"all")]), (0, b"all"), f"the assignment in {name[:20]!r}")
            equal(connection.ask(LEAVE_GROUP, 0, string(name) + string(member)).int16(), 0, f"the error code of leaving {name[:20]!r}")
            equal(deleted(connection, [name]), [(name, 0)], f"the deletion of {name[:20]!r}")


def strangers(ctx):
    """Members, generations and groups that are not there."""
    group, topic = ctx.topic(), ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        for is_there in (False, True):
            equal(join(connection, group, member="nobody")[0], UNKNOWN_MEMBER, "the error code of JoinGroup")
            equal(sync(connection, group, 1, "nobody")[0], UNKNOWN_MEMBER, "the error code of SyncGroup")
            equal(heartbeat(connection, group, 1, "nobody"), UNKNOWN_MEMBER, "the error code of Heartbeat")
            equal(connection.ask(LEAVE_GROUP, 0, string(group) + string("nobody")).int16(), UNKNOWN_MEMBER, "the error code of LeaveGroup")
            if not is_there:
                _, generation, member, _ = join(connection, group)
        equal(sync(connection, group, generation + 1, member)[0], ILLEGAL_GENERATION, "the error code of a generation to come")
        equal(sync(connection, group, generation, member, [("nobody", b"x"), (member, b"y")]), (0, b"y"), "an assignment for a stranger")
        equal(heartbeat(connection, group, -1, member), ILLEGAL_GENERATION, "the error code of generation -1")
        equal(commit(connection, group, topic), UNKNOWN_MEMBER, "the error code of a commit of nobody")
        equal(commit(connection, group, topic, 1, generation, "nobody"), UNKNOWN_MEMBER, "the error code of a stranger's commit")
        equal(commit(connection, group, topic, 1, generation + 1, member), ILLEGAL_GENERATION, "the error code of a commit to come")
        equal(commit(connection, ctx.topic(), topic, 1, 5, "nobody"), ILLEGAL_GENERATION, "the error code of a commit without a group")
        equal(committed(connection, group, topic), (-1, 0), "what is committed")


def bad_joins(ctx):
    group = ctx.topic()
    with Connection(ctx.bootstrap) as connection:
        for code, what in ((BAD_SESSION_TIMEOUT, {"session_ms": 0}), (BAD_SESSION_TIMEOUT, {"session_ms": -1}),
                           (BAD_SESSION_TIMEOUT, {"session_ms": 2**31 - 1}), (INCONSISTENT_PROTOCOL, {"protocols": ()}),
                           (INCONSISTENT_PROTOCOL, {"kind": ""})):
            equal(join(connection, group, **what)[0], code, f"the error code of a join with {what}")
        _, generation, member, _ = join(connection, group, protocols=[("range", b"")] * 3 + [("", bytes(1000))])
        equal(sync(connection, group, generation, member), (0, b""), "the assignment of whom the leader forgot")
        for what in ({"kind": "connect"}, {"protocols": (("other", b""),)}):
            equal(join(connection, group, **what)[0], INCONSISTENT_PROTOCOL, f"the error code of a second join with {what}")
        equal(heartbeat(connection, group, generation, member), 0, "the error code of the member's heartbeat")


def large_metadata(ctx):
    """An offset's metadata has a limit. What a member says of itself may be so large that no record holds it: nobody is harmed."""
    group, topic = ctx.topic(), ctx.topic()
    create_topic(ctx.bootstrap, topic)
    with Connection(ctx.bootstrap) as connection:
        for size, code in ((4096, 0), (4097, METADATA_TOO_LARGE), (32_767, METADATA_TOO_LARGE)):
            equal(commit(connection, group, topic, size, metadata=b"m" * size), code, f"the error code of {size} bytes")
        equal(committed(connection, group, topic), (4096, 0), "what is committed")
        for offset, partition, code in ((-5, 0, 0), (2**63 - 1, 0, 0), (1, 1, UNKNOWN_TOPIC), (1, -1, UNKNOWN_TOPIC)):
            equal(commit(connection, group, topic, offset, partition=partition), code, f"the code of offset {offset}, partition {partition}")
        _, generation, member, _ = join(connection, group, protocols=[("range", bytes(3_000_000))])
        assert sync(connection, group, generation, member, [(member, bytes(3_000_000))])[0] != 0, "6 MB are a record"
        code, generation, member, _ = join(connection, ctx.topic(), protocols=[("range", bytes(300_000))])
        equal(code, 0, "the error code of 300 kB")


def bodies_that_lie(ctx):
    """Counts and lengths that are negative, null or beyond the frame's end are answered or end the connection; nothing comes of them."""
    group, null = ctx.topic(), struct.pack(">h", -1)
    whole = joining(group)
    lies = [(JOIN_GROUP, 1, whole[:cut]) for cut in range(0, len(whole), 3)]
    for key in (OFFSET_COMMIT, OFFSET_FETCH, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP, DESCRIBE_GROUPS, DELETE_GROUPS, OFFSET_DELETE):
        version = {OFFSET_COMMIT: 2, OFFSET_FETCH: 1}.get(key, 0)
        for body in (null, null * 50, struct.pack(">i", -1) * 10, struct.pack(">i", -(2**31)) * 10, struct.pack(">i", 2**31 - 1) + bytes(40),
                     string(group) + struct.pack(">i", 2**31 - 1), string(group) + struct.pack(">i", -2) * 10, b"\xff" * 60):
            lies.append((key, version, body))
    lies += [(CONSUMER_GROUP_HEARTBEAT, 1, body) for body in (
        b"", b"\0" * 40, b"\xff" * 40, next_heartbeat(group)[:-8], b"\0" + compact(group) + b"\xff\xff\xff\xff\x07")]
    for key, version, body in lies:
        with Connection(ctx.bootstrap) as connection:
            try:
                connection.ask(key, version, body)
            except Closed:
                continue
    with Connection(ctx.bootstrap) as connection:
        equal(deleted(connection, [group]), [(group.encode(), GROUP_ID_NOT_FOUND)], "the deletion of the group that never was")


def ten_thousand_groups(ctx):
    """So many groups in one request, and in one broker."""
    names, start = [f"{ctx.topic()}-{n}".encode() for n in range(MANY)], time.monotonic()
    topic = ctx.topic()
    create_topic(ctx.bootstrap, topic)
    compacts = [compact(n) for n in names]
    with Connection(ctx.bootstrap) as connection:
        answer = connection.ask(DESCRIBE_GROUPS, 0, array([string(n) for n in names]))
        described = []
        for _ in range(answer.int32()):
            described.append((answer.int16(), answer.string(), answer.string()))
            equal((answer.string(), answer.string(), answer.int32()), (b"", b"", 0), "the rest of a group that is not there")
        equal(sorted(described) == sorted((0, n, b"Dead") for n in names), True, "all groups are dead")
        equal(sorted(deleted(connection, names)) == sorted((n, GROUP_ID_NOT_FOUND) for n in names), True, "none can be deleted")
        answer = connection.ask(FIND_COORDINATOR, 4, b"\0\0" + compact_array(compacts) + b"\0")
        answer.int8(), answer.int32()
        equal(answer.uvarint() - 1, MANY, "the number of coordinators")
        answer = connection.ask(OFFSET_FETCH, 8, b"\0" + compact_array([n + b"\0\0" for n in compacts]) + b"\0\0")
        answer.int8(), answer.int32()
        equal(answer.uvarint() - 1, MANY, "the number of groups with offsets")
        one = array([string(topic) + array([struct.pack(">iq", 0, 5) + string("")])])
        bodies = [string(n) + struct.pack(">i", -1) + string("") + struct.pack(">q", -1) + one for n in names]
        for part in range(0, MANY, 500):
            connection.send(b"".join(frame(OFFSET_COMMIT, 2, 0, body) for body in bodies[part : part + 500]))
            for _ in range(500):
                connection.answer()
        listed = connection.ask(LIST_GROUPS, 0)
        equal(listed.int16(), 0, "the error code of ListGroups")
        seen = {(listed.string(), listed.string())[0] for _ in range(listed.int32())}
        equal(seen >= set(names), True, "all groups are listed")
        equal(sorted(deleted(connection, names)) == sorted((n, 0) for n in names), True, "all are deleted")
    took = time.monotonic() - start
    assert took < 3 * PATIENCE_S, f"it took {took:.1f} s"


def gone_while_it_joins(ctx):
    """A member whose connection ends while it waits to join is a member until its session ends; then the others are rid of it."""
    group = ctx.topic()
    with Connection(ctx.bootstrap) as connection:
        _, generation, member, _ = join(connection, group)
        equal(sync(connection, group, generation, member), (0, b""), "the assignment")
        for _ in range(20):
            with Connection(ctx.bootstrap) as gone:
                gone.send(frame(JOIN_GROUP, 1, 1, joining(group, session_ms=1_000)))
        until(lambda: heartbeat(connection, group, generation, member) == REBALANCE_IN_PROGRESS, "the group rebalances")
        end, members = time.monotonic() + 2 * PATIENCE_S, []
        while members != [member]:
            assert time.monotonic() < end, f"{len(members)} members are left, one of which is alive"
            code, generation, _, members = join(connection, group, member)
            equal(code, 0, "the error code of the rejoin")
            while heartbeat(connection, group, generation, member) == 0 and members != [member]:
                time.sleep(0.02)
        equal(sync(connection, group, generation, member, [(member, b"alone")]), (0, b"alone"), "the assignment when alone again")


def gone_and_nobody_left(ctx):
    """Joins that nobody waits for any more, in groups of their own."""
    for n in range(50):
        with Connection(ctx.bootstrap) as gone:
            gone.send(frame(JOIN_GROUP, 1, 1, joining(f"{ctx.topic()}-{n}", session_ms=1_000)) + frame(API_VERSIONS, 0, 2))


def bad_heartbeats(ctx):
    """What a KIP-848 heartbeat may not say."""
    group = ctx.topic()
    with Connection(ctx.bootstrap) as connection:
        code, member, epoch = beat(connection, group, version=0, topics=["t"])
        equal((code, bool(member)), (0, True), "the error code of a first heartbeat, and whether an id was made")
        refusals = (
            (INVALID_REQUEST, {"member": ""}), (INVALID_REQUEST, {"rebalance_ms": -1}),
            (INVALID_REQUEST, {"topics": None}), (INVALID_REQUEST, {"epoch": -3}), (INVALID_REQUEST, {"instance": ""}),
            (INVALID_REQUEST, {"owned": None}), (INVALID_REQUEST, {"epoch": -2}), (UNSUPPORTED_ASSIGNOR, {"assignor": "mine"}),
            (UNSUPPORTED_ASSIGNOR, {"assignor": ""}), (UNKNOWN_MEMBER, {"epoch": 5}), (UNKNOWN_MEMBER, {"epoch": -1}),
            (FENCED_EPOCH, {"member": member, "epoch": epoch + 1}), (FENCED_EPOCH, {"member": member, "epoch": 2**31 - 1}),
            (BAD_REGEX, {"topics": None, "pattern": "(("}), (BAD_REGEX, {"topics": None, "pattern": "a{1001}"}),
            (BAD_REGEX, {"topics": None, "pattern": r"(a)\1"}), (BAD_REGEX, {"topics": None, "pattern": "(?<=a)b"}))
        for code, what in refusals:
            equal(beat(connection, group, **{"member": "m", "topics": ["t"], **what})[0], code, f"the error code for {what}")
        equal(beat(connection, ctx.topic(), member="m", epoch=3)[0], GROUP_ID_NOT_FOUND, "the error code of a group that is not there")
        equal(beat(connection, group, member=member, epoch=epoch, rebalance_ms=-1, topics=None, owned=None)[0], 0, "the member's own")


def evil_patterns(ctx):
    """Patterns that take other engines years, and subscriptions without measure, are answered soon."""
    start = time.monotonic()
    with Connection(ctx.bootstrap) as connection:
        for n, pattern in enumerate(("(a*)*b", "(a|a?)+$", "(x+x+)+y", "((a{100}){100}){100}", "(" * 5_000 + "a" + ")" * 5_000, "a|" * 10_000 + "a",
                                     "[^\\d]" * 5_000)):
            connection.ask(CONSUMER_GROUP_HEARTBEAT, 1, next_heartbeat(f"{ctx.topic()}", "m", topics=None, pattern=pattern))
        for topics in ([f"t{n}" for n in range(MANY)], ["t"] * MANY, ["x" * 30_000] * 10, ["", ".", "a/b"]):
            connection.ask(CONSUMER_GROUP_HEARTBEAT, 1, next_heartbeat(ctx.topic(), "m", topics=topics))
        owned = [bytes(16) + compact_array([struct.pack(">i", 0)] * 10) + b"\0"] * MANY
        connection.ask(CONSUMER_GROUP_HEARTBEAT, 1, next_heartbeat(ctx.topic(), "m", topics=["t"], owned=owned))
    took = time.monotonic() - start
    assert took < PATIENCE_S, f"it took {took:.1f} s"


TESTS = [
    prepared(test)
    for test in (
        group_ids, strangers, bad_joins, large_metadata, bodies_that_lie, ten_thousand_groups, gone_while_it_joins, gone_and_nobody_left,
        bad_heartbeats, evil_patterns)
]
