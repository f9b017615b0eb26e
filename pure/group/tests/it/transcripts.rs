//! Runs `testdata/*.txt`: a command, a line of dashes, and what it writes and who is answered what.
//!
//! `a join g` is a JoinGroup of client `a` for group `g`. A client goes by the member id, the instance id and the
//! generation that it has last used or been told in that group; `id=`, `instance=` and `gen=` say otherwise. `wait 3000`
//! lets time pass, and shows what comes of it; in `stall 3000` nobody looks meanwhile; `crash` loads the log anew;
//! `explain g` tells why the group has shared anew, and `numbers` how many groups and offsets there are.
//!
//! To write the files anew after a change, and then to read what changed: `OTTLA_REWRITE=1 cargo test -p ottla-group`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_group::{
    Assignors, CONSUMER_STATES, Command, Config, ConsumerGroupHeartbeat, DeletedTopic, DescribeGroups, GroupConfig,
    JoinGroup, LeaveGroup, MigrationPolicy, Numbers, OffsetCommit, OffsetCounts, OffsetFetch, Reply, SyncGroup, Topic,
    Topics,
};
use ottla_machine::Waiter;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupHeartbeatRequest, DeleteGroupsRequest, DescribeGroupsRequest,
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, LeaveGroupRequest, ListGroupsRequest, MemberIdentity,
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic, OffsetDeleteRequest,
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic, OffsetFetchRequestGroup, OffsetFetchRequestTopics,
    SyncGroupRequest, SyncGroupRequestAssignment,
};
use ottla_wire::records::consumer_protocol::{
    ConsumerProtocolAssignment, ConsumerProtocolSubscription, consumer_protocol_assignment::TopicPartition as Assigned,
    consumer_protocol_subscription::TopicPartition as Owned,
};
use ottla_wire::records::encode_versioned;

use crate::node::{Done, Node};
use crate::show;

macro_rules! transcripts {
    ($($name:ident)*) => {
        mod file {
            $(#[test]
            fn $name() {
                super::check(concat!(stringify!($name), ".txt"));
            })*
        }
    };
}

transcripts! {
    admin consumer_admin consumer_assignment_interval consumer_classic consumer_crashes consumer_fencing consumer_join
    consumer_leave consumer_offsets consumer_patterns consumer_reconcile consumer_requests consumer_static
    consumer_timeouts consumer_topics cooperative crashes describe heartbeat initial_delay join leave limits
    migrate_downgrade migrate_mixed migrate_refused migrate_static migrate_timeouts migrate_unsettled
    migrate_upgrade numbers offsets offsets_expire reasons_classic reasons_consumer reasons_late reasons_migrate
    offsets_of_members protocols rebalance static_alone static_members sync
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(file);
    let expected = fs::read_to_string(&path).unwrap();
    let mut session = Session::default();
    let mut actual = String::new();
    for block in expected.trim_end().split("\n\n") {
        let (asked, _) = block.split_once("\n----").unwrap_or((block, ""));
        actual.push_str(asked);
        actual.push('\n');
        if let Some(command) = asked.lines().find(|line| !line.starts_with('#')) {
            actual.push_str("----\n");
            actual.push_str(&session.run(command));
        }
        actual.push('\n');
    }
    let actual = format!("{}\n", actual.trim_end());
    if std::env::var_os("OTTLA_REWRITE").is_some() {
        fs::write(&path, &actual).unwrap();
    } else {
        assert!(
            actual == expected,
            "{file} should be, from the first difference on:\n{}",
            from_difference(&actual, &expected)
        );
    }
}

fn from_difference(actual: &str, expected: &str) -> String {
    let same = actual.lines().zip(expected.lines()).take_while(|(a, b)| a == b).count();
    actual.lines().skip(same.saturating_sub(3)).take(20).collect::<Vec<_>>().join("\n")
}

/// What a client knows of itself in a group.
#[derive(Clone, Default)]
struct Known {
    member_id: Arc<str>,
    instance_id: Option<Arc<str>>,
    generation: i32,
}

struct Session {
    node: Node,
    /// By client and group.
    known: BTreeMap<(String, String), Known>,
    /// Who waits, and for which group.
    askers: BTreeMap<Waiter, (String, String)>,
    uuids: u128,
    waiters: u64,
}

impl Default for Session {
    fn default() -> Session {
        Session {
            node: Node::new(Config::default()),
            known: BTreeMap::new(),
            askers: BTreeMap::new(),
            uuids: 0,
            waiters: 0,
        }
    }
}

/// The words of a command behind the client, the verb and the group.
struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn value(&self, key: &str) -> Option<&'a str> {
        self.0.iter().find_map(|word| word.strip_prefix(key)?.strip_prefix('='))
    }

    fn number(&self, key: &str, default: i64) -> i64 {
        self.value(key).map_or(default, |number| number.parse().unwrap())
    }

    /// Those that are not `key=value`, but for values that belong to a partition.
    fn plain(&self) -> impl Iterator<Item = &'a str> {
        let is_key = |word: &str| word.split_once('=').is_some_and(|(key, _)| !key.contains('-'));
        self.0.iter().copied().filter(move |word| !is_key(word)).map(|word| word.trim_matches('"'))
    }
}

impl Session {
    fn run(&mut self, command: &str) -> String {
        let mut words: Vec<&str> = command.split_whitespace().collect();
        if words[0] == "config" {
            self.configure(&words[1..]);
            words = vec!["crash"];
        }
        match words[0] {
            "wait" => return self.wait(words[1].parse().unwrap()),
            "stall" => {
                let done = self.node.stall(words[1].parse().unwrap());
                return self.show(done);
            }
            "numbers" => {
                let Numbers { classic, consumer, offsets, offset_counts, .. } =
                    Numbers::of(self.node.shard.hard(), self.node.shard.soft());
                let OffsetCounts { committed, deleted, expired } = offset_counts;
                let consumer: Vec<_> =
                    CONSUMER_STATES.iter().zip(consumer).map(|(state, count)| format!(" {state} {count}")).collect();
                return format!(
                    "classic {classic}, consumer{}, offsets {offsets}: committed {committed} deleted {deleted} expired {expired}\n",
                    consumer.concat()
                );
            }
            "explain" => {
                let shard = &self.node.shard;
                let explained = ottla_group::explain(shard.hard(), shard.soft(), words[1].trim_matches('"'));
                return explained.map_or("no such group\n".to_owned(), |explained| show::explained(&explained));
            }
            "crash" => {
                self.askers.clear();
                let done = self.node.crash();
                return self.show(done);
            }
            _ => {}
        }
        let client = words.remove(0).to_owned();
        let verb = words.remove(0);
        let is_about_one =
            !matches!(verb, "list" | "describe" | "describe-consumer" | "delete" | "topics-deleted" | "topics");
        let group = if is_about_one { words.remove(0).trim_matches('"').to_owned() } else { String::new() };
        self.waiters += 1;
        let waiter = Waiter(self.waiters);
        let command = self.command(&client, verb, &group, &Words(words));
        self.askers.insert(waiter, (client, group));
        let done = self.node.submit(waiter, command);
        self.show(done)
    }

    fn configure(&mut self, words: &[&str]) {
        let words = Words(words.to_vec());
        let mut config = self.node.config;
        config.members_max = words.number("members-max", config.members_max as i64) as usize;
        config.initial_rebalance_delay_ms = words.number("delay", config.initial_rebalance_delay_ms.into()) as i32;
        config.session_timeout_ms_min = words.number("session-min", config.session_timeout_ms_min.into()) as i32;
        config.offset_metadata_max = words.number("metadata-max", config.offset_metadata_max as i64) as usize;
        config.batch_bytes_max = words.number("batch-max", config.batch_bytes_max as i64) as usize;
        config.consumer_members_max = words.number("consumers-max", config.consumer_members_max as i64) as usize;
        let number = |key, default: i32| words.number(key, default.into()) as i32;
        config.consumer_session_timeout_ms = number("session", config.consumer_session_timeout_ms);
        config.consumer_assignment_interval_ms = number("interval", config.consumer_assignment_interval_ms);
        if let Some(policy) = words.value("migration") {
            config.consumer_migration_policy = match policy {
                "disabled" => MigrationPolicy::Disabled,
                "upgrade" => MigrationPolicy::Upgrade,
                "downgrade" => MigrationPolicy::Downgrade,
                _ => MigrationPolicy::Bidirectional,
            };
        }
        if let Some(names) = words.value("assignors") {
            config.consumer_assignors = Assignors::named(&names.split(',').collect::<Vec<_>>()).unwrap();
        }
        config.offsets_retention_ms = words.number("retention", config.offsets_retention_ms);
        config.offsets_retention_check_interval_ms =
            words.number("check-interval", config.offsets_retention_check_interval_ms);
        self.node.config = config;
    }

    fn wait(&mut self, ms: i64) -> String {
        let until = self.node.now.mono_ms + ms;
        let mut out = String::new();
        while self.node.now.mono_ms < until {
            let done = self.node.pass(until);
            let text = self.show(done);
            if !text.is_empty() {
                out.push_str(&format!("at {}\n{text}", self.node.now.mono_ms));
            }
        }
        out
    }

    fn show(&mut self, (records, replies): Done) -> String {
        let mut out = String::new();
        for (offset, record) in &records {
            out.push_str(&format!("{offset} {}\n", show::record(record)));
        }
        for (waiter, reply) in &replies {
            let (client, group) = self.askers.remove(waiter).expect("nobody is answered twice");
            for text in show::reply(reply) {
                out.push_str(&format!("-> {client} {text}\n"));
            }
            if let Reply::JoinGroup(reply) = reply {
                let known = self.known.entry((client, group)).or_default();
                known.member_id = reply.member_id.clone();
                known.generation = reply.generation_id;
            } else if let Reply::ConsumerGroupHeartbeat(reply) = reply
                && let Some(member_id) = &reply.member_id
            {
                let known = self.known.entry((client, group)).or_default();
                known.member_id = member_id.clone();
                known.generation = reply.member_epoch;
            }
        }
        out
    }

    fn command(&mut self, client: &str, verb: &str, group: &str, words: &Words<'_>) -> Command {
        let known = self.known.entry((client.to_owned(), group.to_owned())).or_default();
        let mut me = known.clone();
        if let Some(id) = words.value("id") {
            me.member_id = show::long(id).into();
        }
        if let Some(instance) = words.value("instance") {
            me.instance_id = Some(instance).filter(|name| !name.is_empty()).map(Into::into);
            known.instance_id = me.instance_id.clone();
        }
        me.generation = words.number("gen", me.generation.into()) as i32;
        let group_id: Arc<str> = group.into();
        let version = |latest: i64| words.number("v", latest) as i16;
        match verb {
            "join" => {
                self.uuids += 1;
                let kind = words.value("type").unwrap_or("consumer");
                let session_timeout_ms = words.number("session", 10_000) as i32;
                Command::JoinGroup(JoinGroup {
                    request: JoinGroupRequest {
                        group_id,
                        session_timeout_ms,
                        rebalance_timeout_ms: words.number("rebalance", 20_000) as i32,
                        member_id: me.member_id,
                        group_instance_id: me.instance_id,
                        protocol_type: kind.into(),
                        protocols: protocols(words.value("protocols").unwrap_or("range:t"), kind),
                        ..Default::default()
                    },
                    version: version(9),
                    client_id: client.into(),
                    client_host: "/h".into(),
                    uuid: Uuid(self.uuids.to_be_bytes()),
                })
            }
            "sync" => {
                let version = version(5);
                let said = |key, default: &str| match words.value(key) {
                    Some("null") => None,
                    Some(said) => Some(said.into()),
                    None => Some(default.into()).filter(|_| version >= 5),
                };
                let given = words.plain().map(|word| {
                    let (member, assignment) = word.split_once(':').unwrap();
                    let member_id = match self.known.get(&(member.to_owned(), group.to_owned())) {
                        Some(known) => known.member_id.clone(),
                        None => member.into(),
                    };
                    let assignment = match (assignment.strip_prefix('*'), assignment.strip_prefix('@')) {
                        (Some(length), _) => vec![b'x'; length.parse().unwrap()].into(),
                        (_, Some(partitions)) => consumer_assignment(partitions),
                        _ => Bytes::copy_from_slice(assignment.as_bytes()),
                    };
                    SyncGroupRequestAssignment { member_id, assignment, ..Default::default() }
                });
                Command::SyncGroup(SyncGroup {
                    request: SyncGroupRequest {
                        group_id,
                        generation_id: me.generation,
                        member_id: me.member_id,
                        group_instance_id: me.instance_id,
                        protocol_type: said("type", "consumer"),
                        protocol_name: said("protocol", "range"),
                        assignments: given.collect(),
                        ..Default::default()
                    },
                    version,
                })
            }
            "heartbeat" => Command::Heartbeat(HeartbeatRequest {
                group_id,
                generation_id: me.generation,
                member_id: me.member_id,
                group_instance_id: me.instance_id,
                ..Default::default()
            }),
            "leave" => {
                // `client`, `client#instance`, `#instance`, `?id`; the client itself if nobody is named.
                let named: Vec<&str> = words.plain().collect();
                let named = if named.is_empty() { vec![client] } else { named };
                let members = named.into_iter().map(|name| {
                    let (name, instance) = name.split_once('#').map_or((name, None), |(name, i)| (name, Some(i)));
                    let known = self.known.get(&(name.to_owned(), group.to_owned()));
                    let member_id = match (name.strip_prefix('?'), known) {
                        (Some(id), _) => show::long(id).into(),
                        (None, Some(known)) => known.member_id.clone(),
                        (None, None) => Arc::default(),
                    };
                    MemberIdentity { member_id, group_instance_id: instance.map(Into::into), ..Default::default() }
                });
                let request = LeaveGroupRequest {
                    group_id,
                    members: members.collect(),
                    member_id: me.member_id,
                    ..Default::default()
                };
                Command::LeaveGroup(LeaveGroup { request, version: version(5) })
            }
            "enter" | "beat" | "exit" | "pause" => {
                let names = |text: &str| text.split(',').filter(|name| !name.is_empty()).map(Into::into).collect();
                let is_joining = verb == "enter";
                let default_epoch = match verb {
                    "enter" => 0,
                    "beat" => me.generation,
                    "exit" => -1,
                    _ => -2,
                };
                let member_id =
                    if me.member_id.is_empty() && words.value("id").is_none() { client.into() } else { me.member_id };
                let named = words.value("topics").map(names);
                let subscribed_topic_regex = words.value("like").map(Into::into);
                let request = ConsumerGroupHeartbeatRequest {
                    group_id,
                    member_id,
                    member_epoch: words.number("epoch", default_epoch.into()) as i32,
                    instance_id: me.instance_id,
                    rack_id: words.value("rack").map(Into::into),
                    rebalance_timeout_ms: words.number("rebalance", if is_joining { 30_000 } else { -1 }) as i32,
                    subscribed_topic_names: match named {
                        None if is_joining && subscribed_topic_regex.is_none() => Some(vec!["t".into()]),
                        named => named,
                    },
                    subscribed_topic_regex,
                    server_assignor: words.value("by").map(Into::into),
                    topic_partitions: words.value("owns").or(is_joining.then_some("")).map(reported),
                    ..Default::default()
                };
                self.uuids += 1;
                Command::ConsumerGroupHeartbeat(ConsumerGroupHeartbeat {
                    request,
                    version: version(1),
                    client_id: client.into(),
                    client_host: words.value("host").unwrap_or("/h").into(),
                    uuid: Uuid(self.uuids.to_be_bytes()),
                })
            }
            "describe-consumer" => {
                let group_ids = words.plain().map(Into::into).collect();
                Command::ConsumerGroupDescribe(ConsumerGroupDescribeRequest { group_ids, ..Default::default() })
            }
            "topics" => {
                let mut topics = Topics::default();
                for word in &words.0 {
                    let (name, partitions) = word.split_once('=').unwrap();
                    let (name, id) = name.split_once('#').unwrap();
                    let (partitions, rack) = partitions.split_once('@').unwrap_or((partitions, ""));
                    let partitions = partitions.parse().unwrap();
                    let racks =
                        if rack.is_empty() { Vec::new() } else { vec![[rack.into()].into(); partitions as usize] };
                    topics.insert(name.into(), Topic { id: topic_id(id), partitions, racks });
                }
                self.node.topics = topics.clone();
                Command::TopicsChanged(topics)
            }
            "configure" => {
                let number = |key| words.value(key).map(|number| number.parse().unwrap());
                let config = GroupConfig {
                    session_timeout_ms: number("session"),
                    heartbeat_interval_ms: number("heartbeat"),
                    assignment_interval_ms: number("interval"),
                };
                self.node.group_configs.own.insert(group_id, config);
                Command::GroupConfigsChanged(self.node.group_configs.clone())
            }
            "commit" => {
                let is_member = !me.member_id.is_empty();
                let request = OffsetCommitRequest {
                    group_id,
                    generation_id_or_member_epoch: words
                        .number("gen", if is_member { me.generation.into() } else { -1 })
                        as i32,
                    member_id: me.member_id,
                    group_instance_id: me.instance_id,
                    retention_time_ms: words.number("retention", -1),
                    topics: words.plain().map(committed).collect(),
                    ..Default::default()
                };
                Command::OffsetCommit(OffsetCommit { request: request.into(), version: version(9) })
            }
            "fetch" => {
                let topics = words.plain().map(|word| {
                    let (topic, id, partition) = partition(word);
                    let partition_indexes = vec![partition];
                    OffsetFetchRequestTopics { name: topic, topic_id: id, partition_indexes, ..Default::default() }
                });
                let topics: Vec<_> = topics.collect();
                let topics = Some(topics).filter(|topics| !topics.is_empty());
                let member_id = words.value("as").map(Into::into);
                let member_epoch = words.number("epoch", -1) as i32;
                let group = OffsetFetchRequestGroup { group_id, member_id, member_epoch, topics, ..Default::default() };
                Command::OffsetFetch(OffsetFetch { group, require_stable: false })
            }
            "delete-offsets" => {
                let topics = words.plain().map(|word| {
                    let (name, _, partition_index) = partition(word);
                    OffsetDeleteRequestTopic {
                        name,
                        partitions: vec![OffsetDeleteRequestPartition { partition_index }],
                    }
                });
                Command::OffsetDelete(OffsetDeleteRequest { group_id, topics: topics.collect() })
            }
            "topics-deleted" => Command::TopicsDeleted(
                words
                    .plain()
                    .map(|word| word.split_once('#').unwrap())
                    .map(|(name, id)| DeletedTopic { name: name.into(), id: topic_id(id) })
                    .collect(),
            ),
            "describe" => {
                let groups = words.plain().map(Into::into).collect();
                let request = DescribeGroupsRequest { groups, ..Default::default() };
                Command::DescribeGroups(DescribeGroups { request, version: version(6) })
            }
            "list" => {
                let filter = |key| words.value(key).map(|words| words.split(',').map(Into::into).collect());
                Command::ListGroups(ListGroupsRequest {
                    states_filter: filter("states").unwrap_or_default(),
                    types_filter: filter("types").unwrap_or_default(),
                    ..Default::default()
                })
            }
            "delete" => {
                let groups_names = words.plain().map(Into::into).collect();
                Command::DeleteGroups(DeleteGroupsRequest { groups_names, ..Default::default() })
            }
            other => panic!("no such command: {other}"),
        }
    }
}

/// `name:topic,topic;name:…`; of other protocol types than consumers `name:text;…`.
fn protocols(text: &str, kind: &str) -> Vec<JoinGroupRequestProtocol> {
    let protocols = text.split(';').filter(|protocol| !protocol.is_empty()).map(|protocol| {
        let (name, said) = protocol.split_once(':').unwrap();
        let metadata = match said.strip_prefix('*') {
            Some(length) => vec![b'x'; length.parse().unwrap()].into(),
            None if kind == "consumer" => subscription(said),
            None => Bytes::copy_from_slice(said.as_bytes()),
        };
        JoinGroupRequestProtocol { name: name.into(), metadata, ..Default::default() }
    });
    protocols.collect()
}

/// `topic,topic`, and behind a bar what is owned: `topic/0/1`.
pub fn subscription(text: &str) -> Bytes {
    let (topics, owned) = text.split_once('|').unwrap_or((text, ""));
    let topics = topics.split(',').filter(|topic| !topic.is_empty()).map(Into::into).collect();
    let owned = owned.split(',').filter(|topic| !topic.is_empty()).map(|topic| {
        let (topic, partitions) = topic.split_once('/').unwrap();
        let partitions = partitions.split('/').map(|partition| partition.parse().unwrap()).collect();
        Owned { topic: topic.into(), partitions }
    });
    let mut out = Vec::new();
    let subscription = ConsumerProtocolSubscription { topics, owned_partitions: owned.collect(), ..Default::default() };
    encode_versioned(&subscription, &mut ottla_wire::Writer::new(&mut out), 1);
    out.into()
}

/// `topic/0/1,topic/0`; with `!` behind it one of an assignor that has more to say.
fn consumer_assignment(text: &str) -> Bytes {
    let (text, user_data) = text.strip_suffix('!').map_or((text, None), |text| (text, Some("more".into())));
    let assigned = text.split(',').filter(|topic| !topic.is_empty()).map(|topic| {
        let (topic, partitions) = topic.split_once('/').unwrap();
        let partitions = partitions.split('/').map(|partition| partition.parse().unwrap()).collect();
        Assigned { topic: topic.into(), partitions }
    });
    let mut out = Vec::new();
    let assignment = ConsumerProtocolAssignment { assigned_partitions: assigned.collect(), user_data };
    encode_versioned(&assignment, &mut ottla_wire::Writer::new(&mut out), 1);
    out.into()
}

/// `topic-partition` or `topic#id-partition`.
fn partition(word: &str) -> (Arc<str>, Uuid, i32) {
    let (topic, partition) = word.rsplit_once('-').unwrap();
    let (name, id) = topic.split_once('#').map_or((topic, Uuid::ZERO), |(name, id)| (name, topic_id(id)));
    (name.into(), id, partition.parse().unwrap())
}

/// `#topic-partition,#topic-partition`
fn reported(text: &str) -> Vec<TopicPartitions> {
    let mut topics = BTreeMap::<Uuid, Vec<i32>>::new();
    for word in text.split(',').filter(|word| !word.is_empty()) {
        let (_, id, index) = partition(word);
        topics.entry(id).or_default().push(index);
    }
    let topics = topics.into_iter();
    topics.map(|(topic_id, partitions)| TopicPartitions { topic_id, partitions, ..Default::default() }).collect()
}

fn topic_id(text: &str) -> Uuid {
    Uuid(text.parse::<u128>().unwrap().to_be_bytes())
}

/// `topic-partition=offset[:metadata|:null|:*length][@epoch]`
fn committed(word: &str) -> OffsetCommitRequestTopic {
    let (place, value) = word.split_once('=').unwrap();
    let (name, topic_id, partition_index) = partition(place);
    let (value, epoch) = value.split_once('@').map_or((value, -1), |(value, epoch)| (value, epoch.parse().unwrap()));
    let (offset, metadata) = value.split_once(':').unwrap_or((value, ""));
    let metadata: Option<Arc<str>> = match metadata.strip_prefix('*') {
        Some(length) => Some("ü".repeat(length.parse().unwrap()).into()),
        None if metadata == "null" => None,
        None => Some(metadata.into()),
    };
    let partition = OffsetCommitRequestPartition {
        partition_index,
        committed_offset: offset.parse().unwrap(),
        committed_leader_epoch: epoch,
        committed_metadata: metadata,
        ..Default::default()
    };
    OffsetCommitRequestTopic { topic_id, name, partitions: vec![partition], ..Default::default() }
}
