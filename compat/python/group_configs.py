"""The configuration of groups (DescribeConfigs and IncrementalAlterConfigs, resource type 32), as Kafka 4.3.1 answers it.

By hand, since no client sends what is wrong. A group with a configuration need not exist.
"""
import struct

from checks import equal, until
from frames import API_VERSIONS, Closed, Connection, array, frame, string

DESCRIBE_CONFIGS, INCREMENTAL_ALTER_CONFIGS = 32, 44
GROUP = 32
SET, DELETE, APPEND, SUBTRACT = 0, 1, 2, 3
OF_THE_GROUP, DEFAULT = 8, 5
INVALID_CONFIG, INVALID_REQUEST = 40, 42
SESSION, HEARTBEAT, INTERVAL = "consumer.session.timeout.ms", "consumer.heartbeat.interval.ms", "consumer.assignment.interval.ms"


def nullable(value):
    return struct.pack(">h", -1) if value is None else string(value)


def described_body(resources, synonyms=True):
    """(type, name, keys or None)"""
    def keys(names):
        return struct.pack(">i", -1) if names is None else array([string(n) for n in names])

    body = array([struct.pack(">b", kind) + string(name) + keys(names) for kind, name, names in resources])
    return body + bytes([synonyms, False])


def describe(connection, *resources, synonyms=True):
    """For each resource (error code, {key: (value, source, type, [(synonym, value, source)])})."""
    answer, results = connection.ask(DESCRIBE_CONFIGS, 3, described_body(resources, synonyms)), []
    answer.int32()
    for _ in range(answer.int32()):
        code, configs = answer.int16(), {}
        answer.string(), answer.int8(), answer.string()
        for _ in range(answer.int32()):
            key, value, read_only, source, sensitive = (answer.string(), answer.string(), answer.int8(), answer.int8(), answer.int8())
            equal((read_only, sensitive), (0, 0), f"read-only and sensitive of {key}")
            names = [(text(answer.string()), text(answer.string()), answer.int8()) for _ in range(answer.int32())]
            configs[text(key)] = text(value), source, answer.int8(), names
            answer.string()
        results.append((code, configs))
    return results


def text(data):
    return None if data is None else data.decode()


def altered_body(resources, validate_only=False):
    """(type, name, [(key, operation, value)])"""
    def config(key, operation, value):
        return string(key) + struct.pack(">b", operation) + nullable(value)

    body = array([struct.pack(">b", kind) + string(name) + array([config(*c) for c in configs]) for kind, name, configs in resources])
    return body + bytes([validate_only])


def alter(connection, *resources, validate_only=False):
    """Error codes, sorted as the resources are: Kafka answers in no order."""
    answer = connection.ask(INCREMENTAL_ALTER_CONFIGS, 0, altered_body(resources, validate_only))
    answer.int32()
    found = []
    for _ in range(answer.int32()):
        code, message = answer.int16(), answer.string()
        assert (message is None) == (code == 0), f"error {code} has the message {message!r}"
        found.append(((answer.int8(), answer.string()), code))
    names = [(kind, name if isinstance(name, bytes) else name.encode()) for kind, name, _ in resources]
    equal(sorted(name for name, _ in found), sorted(names), "the resources in the answer")
    codes = {}
    for name, code in found:
        codes.setdefault(name, []).append(code)
    return [codes[name].pop() for name in names]


def one(connection, group, *configs):
    (code,) = alter(connection, (GROUP, group, configs))
    return code


def becomes(connection, group, key, want):
    """Kafka shows a change a moment after it has answered."""
    def seen():
        ((code, configs),) = describe(connection, (GROUP, group, [key]), synonyms=False)
        return code == 0 and configs[key][:2] == want

    until(seen, f"{key} of {group} is {want}")


def defaults(ctx):
    """Of a group that nobody has heard of: 17 keys, each with the broker's key behind it, or itself where there is none."""
    with Connection(ctx.bootstrap) as connection:
        (code, all_keys), (_, some), (_, without), (empty, nothing) = describe(
            connection, (GROUP, ctx.topic(), None), (GROUP, ctx.topic(), [SESSION, "nope"]), (GROUP, ctx.topic(), []), (GROUP, "", None))
    equal((code, len(all_keys)), (0, 17), "error code and number of keys")
    equal(without, all_keys, "no keys are all keys")
    equal((empty, nothing), (INVALID_REQUEST, {}), "a group without a name")
    session = ("45000", DEFAULT, 3, [(f"group.{SESSION}", "45000", DEFAULT)])
    equal(some, {SESSION: session}, "the keys that were asked for")
    equal(all_keys["share.isolation.level"], ("read_uncommitted", DEFAULT, 2, [("share.isolation.level", "read_uncommitted", DEFAULT)]),
          "a key without a broker's key")


def set_and_deleted(ctx):
    group = ctx.topic()
    with Connection(ctx.bootstrap) as connection:
        equal(one(connection, group, (SESSION, SET, "50000"), (HEARTBEAT, SET, " 6000 "), ("share.auto.offset.reset", SET, "by_duration:P1D")),
              0, "the error code")
        becomes(connection, group, SESSION, ("50000", OF_THE_GROUP))
        ((_, configs),) = describe(connection, (GROUP, group, [HEARTBEAT]))
        equal(configs[HEARTBEAT][3], [(HEARTBEAT, "6000", OF_THE_GROUP), (f"group.{HEARTBEAT}", "5000", DEFAULT)], "the synonyms")
        equal(one(connection, group, (SESSION, DELETE, None), (HEARTBEAT, SET, "7000"), (INTERVAL, DELETE, "1")), 0, "the error code")
        becomes(connection, group, SESSION, ("45000", DEFAULT))
        becomes(connection, group, HEARTBEAT, ("7000", OF_THE_GROUP))
        equal(alter(connection, (GROUP, group, [(HEARTBEAT, SET, "8000")]), validate_only=True), [0], "the error code of a trial")
        equal(one(connection, group, (SESSION, SET, "60000")), 0, "the error code")
        becomes(connection, group, SESSION, ("60000", OF_THE_GROUP))
        becomes(connection, group, HEARTBEAT, ("7000", OF_THE_GROUP))


def refusals(ctx):
    group = ctx.topic()
    with Connection(ctx.bootstrap) as connection:
        for code, configs in (
                (0, []),
                (0, [("nope", DELETE, None)]),
                (INVALID_CONFIG, [("nope", SET, "1")]),
                (INVALID_CONFIG, [("", SET, "1")]),
                (INVALID_CONFIG, [(f"group.{SESSION}", SET, "50000")]),
                (INVALID_CONFIG, [(SESSION, SET, "abc")]),
                (INVALID_CONFIG, [(SESSION, SET, "")]),
                (INVALID_CONFIG, [(SESSION, SET, "0")]),
                (INVALID_CONFIG, [(SESSION, SET, "44999")]),
                (INVALID_CONFIG, [(SESSION, SET, "60001")]),
                (INVALID_CONFIG, [(HEARTBEAT, SET, "4999")]),
                (INVALID_CONFIG, [(HEARTBEAT, SET, "15001")]),
                (INVALID_CONFIG, [(INTERVAL, SET, "15001")]),
                (INVALID_CONFIG, [(SESSION, APPEND, "50000")]),
                (INVALID_CONFIG, [("nope", SUBTRACT, "1")]),
                (INVALID_CONFIG, [("share.auto.offset.reset", SET, "by_duration:-PT1H")]),
                (INVALID_CONFIG, [("share.delivery.count.limit", SET, "11")]),
                (INVALID_CONFIG, [("streams.num.standby.replicas", SET, "3")]),
                (INVALID_CONFIG, [(SESSION, SET, "50000"), ("nope", SET, "1")]),
                (INVALID_REQUEST, [(SESSION, SET, None)]),
                (INVALID_REQUEST, [("nope", APPEND, None)]),
                (INVALID_REQUEST, [(SESSION, 9, None)]),
                (INVALID_REQUEST, [(SESSION, SET, "50000"), (SESSION, DELETE, None)])):
            equal(one(connection, group, *configs), code, f"the error code of {configs}")
        equal(one(connection, "", (SESSION, SET, "50000")), INVALID_REQUEST, "the error code of a group without a name")
        for kind in (-1, 0, 3, 33):
            equal(alter(connection, (kind, group, [(SESSION, SET, "50000")])), [INVALID_REQUEST], f"the error code of type {kind}")
        ((_, configs),) = describe(connection, (GROUP, group, None))
        equal({source for _, source, _, _ in configs.values()}, {DEFAULT}, "the sources")


def each_by_itself(ctx):
    """A group that stands in the request twice is refused twice; the others are not touched by that, nor by one that is wrong."""
    twice, wrong, right = (ctx.topic() for _ in range(3))
    with Connection(ctx.bootstrap) as connection:
        codes = alter(connection, (GROUP, twice, [(SESSION, SET, "50000")]), (GROUP, wrong, [(SESSION, SET, "1")]),
                      (GROUP, right, [(SESSION, SET, "50000")]), (GROUP, twice, [(HEARTBEAT, SET, "6000")]))
        equal(codes, [INVALID_REQUEST, INVALID_CONFIG, 0, INVALID_REQUEST], "the error codes")
        becomes(connection, right, SESSION, ("50000", OF_THE_GROUP))
        becomes(connection, twice, SESSION, ("45000", DEFAULT))
        equal(alter(connection), [], "the answer to nothing")


def strange_names(ctx):
    """Whatever can be written is a group's name."""
    with Connection(ctx.bootstrap) as connection:
        for name in (f"{ctx.topic()} \0/\n", f"{ctx.topic()}ü😀", ctx.topic() + "x" * 10_000):
            equal(one(connection, name, (HEARTBEAT, SET, "6000")), 0, f"the error code of {name[:80]!r}")
            becomes(connection, name, HEARTBEAT, ("6000", OF_THE_GROUP))


def bodies_that_lie(ctx):
    """Counts and lengths beyond the frame's end close the connection; nothing is changed."""
    group = ctx.topic()
    whole = altered_body([(GROUP, group, [(SESSION, SET, "50000")])])
    described = described_body([(GROUP, group, None)])
    lies = [(INCREMENTAL_ALTER_CONFIGS, 0, whole[:cut]) for cut in range(len(whole) - 1)]
    lies += [(DESCRIBE_CONFIGS, 3, described[:cut]) for cut in range(len(described) - 2)]
    lies += [(key, version, struct.pack(">i", count)) for key, version in ((INCREMENTAL_ALTER_CONFIGS, 0), (DESCRIBE_CONFIGS, 3))
             for count in (1, 2**31 - 1)]
    lies += [(INCREMENTAL_ALTER_CONFIGS, 2, b""), (DESCRIBE_CONFIGS, 0, b""), (DESCRIBE_CONFIGS, 5, b"")]
    for key, version, body in lies:
        with Connection(ctx.bootstrap) as connection:
            try:
                connection.send(frame(key, version, 1, body))
            except Closed:
                continue
            connection.closed()
    with Connection(ctx.bootstrap) as connection:
        ((_, configs),) = describe(connection, (GROUP, group, [SESSION]))
        equal(configs[SESSION][:2], ("45000", DEFAULT), "the value")


def much_at_once(ctx):
    """Very many resources and keys end in an answer, or in a closed connection, and the broker goes on."""
    name = ctx.topic()
    bodies = [altered_body([(GROUP, name, [(f"k{n}", DELETE, None) for n in range(50_000)])]),
              altered_body([(GROUP, name, [(SESSION, SET, "50000")])] * 300),
              altered_body([(GROUP, f"{name}{n}", [(SESSION, SET, "1")]) for n in range(300)]),
              altered_body([(GROUP, f"{n}" + "x" * 30_000, [(SESSION, SET, "50000")]) for n in range(300)])]
    for body in bodies:
        with Connection(ctx.bootstrap) as connection:
            connection.ask(INCREMENTAL_ALTER_CONFIGS, 0, body)
    with Connection(ctx.bootstrap) as connection:
        equal(connection.ask(API_VERSIONS, 0).int16(), 0, "the error code of ApiVersions")


TESTS = [defaults, set_and_deleted, refusals, each_by_itself, strange_names, bodies_that_lie, much_at_once]
