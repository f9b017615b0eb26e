"""What every client must see of groups. Written as the checks of `checks.py` are; confluent-kafka runs them in both protocols."""
from checks import equal, fresh, refused, until
from clients import Joining, Refused, Sending
from members import Member, shared
from sample import Record

METADATA_TOO_LARGE, UNKNOWN_MEMBER, NON_EMPTY_GROUP, GROUP_ID_NOT_FOUND = 12, 25, 68, 69
FENCED_INSTANCE, SUBSCRIBED_TO_TOPIC, UNRELEASED_INSTANCE = 82, 86, 111


def write(client, topic, partitions, first, count):
    """`count` numbers from `first` on into each partition; gives the values."""
    values = [[f"{topic}/{partition}/{n}".encode() for n in range(first, first + count)] for partition in range(partitions)]
    with client.writer(Sending()) as writer:
        for partition, own in enumerate(values):
            writer.send(topic, partition, [Record(b"k", value) for value in own])
    return sum(values, [])


def given_out(members, values):
    """The members were given these values, each once, and nothing else."""
    def given():
        return sum((member.values() for member in members), [])

    until(lambda: len(given()) >= len(values), f"{len(values)} records are given out")
    equal(sorted(given()), sorted(values), "the values that were given out")


def of(topic, count):
    return {(topic, partition) for partition in range(count)}


def commit(*members):
    for member in members:
        member.ask(lambda consumer: consumer.commit())


def refusal_of(call):
    """The error code, or None where the call is not refused."""
    try:
        call()
    except Refused as e:
        return e.code


# Members


def partitions_are_shared(client, ctx):
    """Two members share the partitions; who stays goes on where the other has committed, and nothing is read twice."""
    topic = fresh(client, ctx, 4)
    joining, values = Joining(ctx.topic(), (topic,)), write(client, topic, 4, 0, 10)
    with Member(client, joining) as stays:
        given_out([stays], values)
        commit(stays)
        with Member(client, joining) as leaves:
            shared([stays, leaves], of(topic, 4))
            values += write(client, topic, 4, 10, 10)
            given_out([stays, leaves], values)
            equal(len(leaves.seen), 20, "the number of records of the second member")
            commit(stays, leaves)
        shared([stays], of(topic, 4))
        values += write(client, topic, 4, 20, 10)
        given_out([stays, leaves], values)


def commits(client, ctx):
    """An offset committed in any way that the client has is where the next member goes on."""
    topic, written = fresh(client, ctx), 0
    ways = {"and waited for": (None, lambda consumer: consumer.commit()),
            "and not waited for": (None, lambda consumer: consumer.commit_behind()),
            "by the clock": (100, lambda consumer: None)}
    for how, (auto_commit_ms, call) in ways.items():
        joining = Joining(ctx.topic(), (topic,), auto_commit_ms=auto_commit_ms)
        written = written + len(write(client, topic, 1, written, 5))
        with Member(client, joining) as member:
            until(lambda: len(member.seen) == written, f"{written} records are given out")
            member.ask(call)
            until(lambda: member.ask(lambda consumer: consumer.committed(topic, 0)) == written, f"{written} is committed {how}")
        equal(client.offsets(joining.group), {(topic, 0): written}, f"the group's offsets, committed {how}")
        with Member(client, joining) as member:
            last = write(client, topic, 1, written, 1)
            written += 1
            given_out([member], last)


def leaving_commits(client, ctx):
    """A member that commits by the clock does so once more as it leaves."""
    topic = fresh(client, ctx)
    joining, values = Joining(ctx.topic(), (topic,), auto_commit_ms=600_000), write(client, topic, 1, 0, 5)
    with Member(client, joining) as member:
        given_out([member], values)
    equal(client.offsets(joining.group), {(topic, 0): 5}, "the group's offsets")


def static_member_comes_back(client, ctx):
    """A static member that is away leaves its partitions to nobody else, and has them again when it is back."""
    topic = fresh(client, ctx, 4)
    group = ctx.topic()
    one, two = (Joining(group, (topic,), instance=name) for name in ("one", "two"))
    with Member(client, two) as stays:
        with Member(client, one) as goes:
            shares = shared([stays, goes], of(topic, 4))
            commit(stays, goes)
        values = write(client, topic, 4, 0, 1)
        until(lambda: len(stays.seen) == 2, "who stays reads its two partitions")
        equal(stays.owned(), shares[0], "the partitions of who stays, while the other is away")
        with Member(client, one) as back:
            given_out([stays, back], values)
            equal(shared([stays, back], of(topic, 4)), shares, "the shares after the return")


def static_member_twice(client, ctx):
    """Of two members with one name one is refused: in the classic protocol the older, in KIP-848 the younger."""
    topic = fresh(client, ctx)
    joining = Joining(ctx.topic(), (topic,), instance="one")
    with Member(client, joining) as older:
        shared([older], of(topic, 1))
        with Member(client, joining) as younger:
            loses, code = (older, FENCED_INSTANCE) if client.protocol == "classic" else (younger, UNRELEASED_INSTANCE)
            until(lambda: refusal_of(lambda: commit(loses)) == code, f"one is refused with {code}")


def topics_by_pattern(client, ctx):
    """A pattern takes in the topics whose whole name it fits, also those that come later: in KIP-848 the broker looks for
    them every 10 s at most, as Kafka's does."""
    stem = ctx.topic()
    topics = [f"{stem}.a", f"{stem}.b"]
    client.create_topic(topics[0], 2)
    client.create_topic(f"x{topics[0]}", 1)
    with Member(client, Joining(ctx.topic(), pattern=f"^{stem}\\.[ab]$")) as member:
        shared([member], of(topics[0], 2))
        client.create_topic(topics[1], 1)
        shared([member], of(topics[0], 2) | of(topics[1], 1))
        given_out([member], write(client, topics[1], 1, 0, 1))


def cooperative_members_keep_their_partitions(client, ctx):
    """With the cooperative assignor a member gives up what another one gets, and nothing else."""
    topic = fresh(client, ctx, 4)
    joining = Joining(ctx.topic(), (topic,), cooperative=True)
    with Member(client, joining) as first:
        shared([first], of(topic, 4))
        with Member(client, joining) as second:
            _, taken = shared([first, second], of(topic, 4))
            equal(first.ask(lambda consumer: consumer.given_up), taken, "what the first member gave up")


# Administration


def groups_are_described(client, ctx):
    """A group with members is listed and described; when they have left it is still there, and empty."""
    topic = fresh(client, ctx, 2)
    joining = Joining(ctx.topic(), (topic,))
    with Member(client, joining) as one, Member(client, joining) as two:
        shared([one, two], of(topic, 2))
        equal(client.groups().get(joining.group), client.kind, "the kind of group")
        until(lambda: client.group(joining.group) == ("Stable", 2), "the group is stable, with two members")
        commit(one, two)
    equal(client.group(joining.group), ("Empty", 0), "state and members when all have left")
    equal(joining.group in client.groups(), True, "the empty group is listed")


def group_deleted(client, ctx):
    """A group without members can be deleted, with its offsets; one that has members, or is not there, cannot."""
    topic = fresh(client, ctx)
    joining, values = Joining(ctx.topic(), (topic,)), write(client, topic, 1, 0, 3)
    refused(GROUP_ID_NOT_FOUND, lambda: client.delete_group(joining.group))
    with Member(client, joining) as member:
        given_out([member], values)
        commit(member)
        refused(NON_EMPTY_GROUP, lambda: client.delete_group(joining.group))
    client.delete_group(joining.group)
    equal(joining.group in client.groups(), False, "the deleted group is listed")
    equal(client.offsets(joining.group), {}, "the offsets of the deleted group")


def group_offsets_altered(client, ctx):
    """Offsets can be set where nobody is a member, and are where the next member begins; metadata has a limit."""
    topic = fresh(client, ctx, 2)
    joining, values = Joining(ctx.topic(), (topic,)), write(client, topic, 2, 0, 10)
    wanted = {(topic, 0): 8, (topic, 1): 9}
    client.alter_offsets(joining.group, wanted)
    equal(client.offsets(joining.group), wanted, "the offsets that were set")
    refused(METADATA_TOO_LARGE, lambda: client.alter_offsets(joining.group, wanted, "m" * 4097))
    with Member(client, joining) as member:
        given_out([member], values[8:10] + values[19:])
        refused(UNKNOWN_MEMBER, lambda: client.alter_offsets(joining.group, wanted))


def group_offsets_deleted(client, ctx):
    """An offset can be deleted, but for topics that a member reads."""
    topic = fresh(client, ctx, 2)
    joining = Joining(ctx.topic(), (topic,))
    refused(GROUP_ID_NOT_FOUND, lambda: client.delete_offsets(joining.group, [(topic, 0)]))
    client.alter_offsets(joining.group, {(topic, 0): 8, (topic, 1): 9})
    with Member(client, joining) as member:
        shared([member], of(topic, 2))
        refused(SUBSCRIBED_TO_TOPIC, lambda: client.delete_offsets(joining.group, [(topic, 0)]))
    client.delete_offsets(joining.group, [(topic, 0)])
    equal(client.offsets(joining.group), {(topic, 1): 9}, "the offsets that are left")


CHECKS = [
    partitions_are_shared, commits, leaving_commits, static_member_comes_back, static_member_twice, topics_by_pattern,
    cooperative_members_keep_their_partitions, groups_are_described, group_deleted, group_offsets_altered, group_offsets_deleted,
]


# Members of different clients


def in_one_group(name, clients):
    """Members of all these clients share partitions, and take over those of one that leaves."""
    def check(ctx):
        first = clients[0](ctx.bootstrap)
        topic = fresh(first, ctx, 6)
        joining, values, members = Joining(ctx.topic(), (topic,)), write(first, topic, 6, 0, 10), []
        for client in clients:
            members.append(Member(client(ctx.bootstrap), joining))
            shared(members, of(topic, 6))
        until(lambda: set(sum((member.values() for member in members), [])) == set(values), "every record is given out")
        commit(*members)
        left = members.pop(0)
        left.leave()
        shared(members, of(topic, 6))
        for member in members:
            member.leave()

    return f"groups.{name}", check
