"""One file a client. Each gives the same few calls, so that a check is written once and run with every client:

    name                                           as on PyPI
    cannot                                         the checks that ask what the client itself refuses
    create_topic(name, partitions=1, configs={})   refusals raise Refused
    delete_topic(name)
    topics()                                       {name: number of partitions}
    broker_id()                                    of the one broker
    configs(kind, name)                            {key: value} of a "topic" or a "broker"
    writer(sending)                                .send(topic, partition, records) gives the offsets; partition None: the client chooses
    reader(topic, partitions, offset, wait_ms)     assigned, no group; .next(timeout_s) gives a Seen, or None when the time is up
    offset_at(topic, partition, timestamp)         of the first record that is not older, or None
    ends(topic, partition)                         (first offset, offset after the last)

    protocol, kind                                 of its groups: "classic" or "consumer"; what `groups` says of one
    consumer(joining)                              a member of a group; all its calls come from one thread:
        .next(timeout_s)                           a Seen, or None; this is also what makes the client take part in the group
        .owned()                                   {(topic, partition)}
        .given_up                                  what was taken from it so far; not with aiokafka
        .commit(), .commit_behind()                all that was handed out: waits for the answer, or does not
        .committed(topic, partition)               an offset, or None
        .close()                                   leaves the group; a static member only goes
    groups()                                       {group: kind}
    group(group)                                   (state, number of members)
    delete_group(group)
    offsets(group)                                 {(topic, partition): offset}
    alter_offsets(group, offsets, metadata="")
    delete_offsets(group, partitions)

Writers, readers and consumers are closed by `with`.
"""
from dataclasses import dataclass
from typing import NamedTuple

from sample import Record


@dataclass(frozen=True)
class Sending:
    codec: str = "none"
    acks: str = "all"  # "0", "1", "all"
    idempotent: bool = False


@dataclass(frozen=True)
class Joining:
    """How a consumer joins a group. The protocol is the client's own."""
    group: str
    topics: tuple = ()
    pattern: str | None = None  # in place of topics; begins with ^
    instance: str | None = None  # of a static member
    auto_commit_ms: int | None = None
    cooperative: bool = False


class Seen(NamedTuple):
    partition: int
    offset: int
    record: Record
    topic: str = ""  # readers of one topic may leave it out


class Refused(Exception):
    """The broker's answer was an error code of Kafka's protocol."""

    def __init__(self, code, text=""):
        super().__init__(f"refused with code {code} {text}".rstrip())
        self.code = code


class Closing:
    """Gives `with` to a class that has `close`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


MAX_REQUEST_BYTES = 4 << 20  # of every writer: the broker's limits are tested, not the clients'
LINGER_MS = 20  # long enough that records sent together share a batch
HEARTBEAT_MS = 300  # of members of the classic protocol: how soon they hear of a rebalance
METADATA_MS = 500  # how soon members with a pattern see new topics
