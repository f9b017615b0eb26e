//! The group coordinators of this broker: a shard for each partition of `__consumer_offsets` that it leads.
//!
//! A group belongs to the partition that its id hashes to. Shards come and go with the partitions ([`Groups::follow`]), and
//! are told what happens to topics and to the configurations of groups.

use std::collections::VecDeque;
use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use ottla_config::{GroupLayers, ServerConfig, keys};
use ottla_group::{
    Assignors, Command, Config, DeletedTopic, Explained, GroupConfigs, Groups as Machine, MigrationPolicy, Numbers,
    Record, Reply, Soft, Summary, Tally, Topics, committed, summaries, tallies,
};
use ottla_metadata::image::{Image, Topic};
use ottla_metadata::topic_name::CONSUMER_OFFSETS;
use ottla_records::Codec;
use ottla_rt::{Rt, Stop};
use ottla_wire::{ErrorCode, TopicKey};

use super::host::{Condition, Host, Hosted, NoReply};
use super::lag::{self, LAGS_MAX, Lag, Times};
use crate::api::outcome;
use crate::appended::Appended;
use crate::control::publisher::Change;
use crate::metrics::coordinators::Coordinators;
use crate::topics::Published;

#[derive(Debug)]
pub struct Groups {
    rt: Rt,
    server: Arc<ServerConfig>,
    appended: Appended,
    stop: Stop,
    shared: Arc<Shared>,
    times: Arc<Coordinators>,
    /// By partition. Empty while there is no topic.
    shards: ArcSwap<Vec<Option<Arc<Host<Machine>>>>>,
    lags: Mutex<Lags>,
}

/// How far groups are behind, as it was looked up last.
#[derive(Debug)]
struct Lags {
    latest: Arc<Vec<Lag>>,
    times: Times,
    /// Mono time.
    fresh_until_ms: i64,
}

/// How long a look at all groups is good enough.
const LAGS_FRESH_MS: i64 = 5_000;

/// What all shards share.
#[derive(Debug)]
pub struct Shared {
    config: Config,
    /// `offsets.commit.timeout.ms`
    commit_limit_ms: i64,
    /// `offsets.load.buffer.size`
    load_bytes: u64,
    /// `offsets.topic.compression.codec`
    codec: Codec,
    cluster: ArcSwap<Cluster>,
}

/// What there is to know of the cluster, each part with the version in which it changed last. Clones share what is in it.
#[derive(Clone, Debug, Default)]
struct Cluster {
    version: u64,
    topics: (u64, Topics),
    group_configs: (u64, GroupConfigs),
    /// The topics that were deleted last.
    deleted: VecDeque<(u64, DeletedTopic)>,
}

/// What all coordinators together keep of rebalances.
const HISTORY_BYTES_MAX: usize = 64 << 20;
/// Deleted topics that are remembered. A shard that hears of nothing for as long keeps the offsets in others until they are
/// old.
const DELETED_MAX: usize = 1_000;

impl Cluster {
    fn deleted_since(&self, version: u64) -> Vec<DeletedTopic> {
        let since = self.deleted.iter().filter(|(at, _)| *at > version);
        since.map(|(_, topic)| topic.clone()).collect()
    }
}

impl Hosted for Machine {
    type Shared = Shared;

    fn version(shared: &Shared) -> u64 {
        shared.cluster.load().version
    }

    fn news(shared: &Shared, since: u64) -> (u64, Vec<Command>) {
        let cluster = shared.cluster.load();
        let (configs_at, configs) = &cluster.group_configs;
        let (topics_at, topics) = &cluster.topics;
        let deleted = cluster.deleted_since(since);
        let news = [
            (*configs_at > since).then(|| Command::GroupConfigsChanged(configs.clone())),
            (*topics_at > since).then(|| Command::TopicsChanged(topics.clone())),
            (!deleted.is_empty()).then_some(Command::TopicsDeleted(deleted)),
        ];
        (cluster.version, news.into_iter().flatten().collect())
    }

    fn soft(shared: &Shared) -> (u64, Soft) {
        let cluster = shared.cluster.load();
        let (topics, configs) = (cluster.topics.1.clone(), cluster.group_configs.1.clone());
        (cluster.version, Soft::new(shared.config).with(topics, configs).without(cluster.deleted_since(0)))
    }

    fn commit_limit_ms(shared: &Shared) -> i64 {
        shared.commit_limit_ms
    }

    fn load_bytes(shared: &Shared) -> u64 {
        shared.load_bytes
    }

    fn codec(shared: &Shared) -> Codec {
        shared.codec
    }

    fn writes(command: &Command) -> bool {
        match command {
            Command::OffsetCommit(_)
            | Command::OffsetDelete(_)
            | Command::JoinGroup(_)
            | Command::SyncGroup(_)
            | Command::LeaveGroup(_)
            | Command::DeleteGroups(_) => true,
            // Most heartbeats report no change.
            Command::Heartbeat(_)
            | Command::ConsumerGroupHeartbeat(_)
            | Command::OffsetFetch(_)
            | Command::ConsumerGroupDescribe(_)
            | Command::DescribeGroups(_)
            | Command::ListGroups(_)
            // Nobody asks for it again.
            | Command::TopicsDeleted(_)
            | Command::TopicsChanged(_)
            | Command::GroupConfigsChanged(_) => false,
        }
    }

    fn encode(record: &Record) -> (Vec<u8>, Option<Vec<u8>>) {
        record.encode()
    }

    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Record>, Box<dyn Error + Send + Sync>> {
        Record::decode(key, value).map_err(Into::into)
    }
}

/// Takes the reply of one kind: a machine that answers a command with the reply to another is a bug.
macro_rules! ask {
    ($groups:expr, $group:expr, $kind:ident($command:expr)) => {{
        use ottla_group::{Command, Reply};
        match $groups.submit($group, Command::$kind($command)).await {
            Ok(Reply::$kind(reply)) => Ok(reply),
            Ok(other) => panic!("a coordinator answered {} with {other:?}", stringify!($kind)),
            Err(error) => Err(error),
        }
    }};
}
pub(crate) use ask;

impl Groups {
    pub fn new(rt: &Rt, server: Arc<ServerConfig>, appended: Appended, times: Arc<Coordinators>, stop: Stop) -> Groups {
        let load_bytes = server.get(keys::OFFSETS_LOAD_BUFFER_SIZE).unsigned_abs().into();
        let commit_limit_ms = server.get(keys::OFFSETS_COMMIT_TIMEOUT_MS).into();
        let codec = u8::try_from(server.get(keys::OFFSETS_TOPIC_COMPRESSION_CODEC)).ok().and_then(Codec::from_id);
        let shared = Shared {
            config: config_of(&server),
            commit_limit_ms,
            load_bytes,
            codec: codec.unwrap_or(Codec::None),
            cluster: ArcSwap::default(),
        };
        let lags = Lags { latest: Arc::default(), times: Times::default(), fresh_until_ms: i64::MIN };
        Groups {
            rt: rt.clone(),
            server,
            appended,
            stop,
            shared: Arc::new(shared),
            times,
            shards: ArcSwap::default(),
            lags: Mutex::new(lags),
        }
    }

    /// Has the coordinator of the group decide. The error is for the client.
    pub async fn submit(&self, group: &str, command: Command) -> Result<Reply, ErrorCode> {
        self.shard_of(group)?.submit(command).await.map_err(outcome::of_coordinator)
    }

    /// Has every coordinator here decide that is not given up, and hands over the replies. With an error if one of them is
    /// loading, or if `take` says so.
    pub async fn submit_to_all(
        &self,
        command: &Command,
        mut take: impl FnMut(Reply) -> Result<(), ErrorCode>,
    ) -> Result<(), ErrorCode> {
        for shard in self.shards.load_full().iter().flatten() {
            match shard.submit(command.clone()).await {
                Ok(reply) => take(reply)?,
                Err(NoReply::GivenUp) => {}
                Err(NoReply::Loading) => return Err(outcome::of_coordinator(NoReply::Loading)),
            }
        }
        Ok(())
    }

    /// What there is to know of a group; `None` if there is no such group. The error is for who asks.
    pub fn explain(&self, group: &str) -> Result<Option<Explained>, ErrorCode> {
        let explained = self.shard_of(group)?.look(|state, soft| ottla_group::explain(state, soft, group));
        explained.ok_or(outcome::of_coordinator(NoReply::Loading))
    }

    /// Up to `most` groups.
    pub fn summaries(&self, most: usize) -> Vec<Summary> {
        let shards = self.shards.load_full();
        let of_shard = |shard: &Arc<Host<Machine>>| shard.look(|state, soft| summaries(state, soft, most));
        shards.iter().flatten().filter_map(of_shard).flatten().take(most).collect()
    }

    /// How far groups are behind, as of a few seconds ago at most. May read from the disk.
    pub fn lags(&self, published: &Published) -> Arc<Vec<Lag>> {
        let mut lags = self.lags.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.rt.now();
        if now.mono_ms >= lags.fresh_until_ms {
            let shards = self.shards.load_full();
            let of_shard = |shard: &Arc<Host<Machine>>| shard.look(|state, _| committed(state, LAGS_MAX));
            let committed = shards.iter().flatten().filter_map(of_shard).flatten().take(LAGS_MAX).collect();
            let Lags { latest, times, fresh_until_ms } = &mut *lags;
            *latest = Arc::new(lag::look(published, committed, now.wall_ms, times));
            *fresh_until_ms = now.mono_ms + LAGS_FRESH_MS;
        }
        lags.latest.clone()
    }

    /// How many groups there are, of the coordinators that are loaded.
    pub fn numbers(&self) -> Numbers {
        let shards = self.shards.load_full();
        let numbers = shards.iter().flatten().filter_map(|shard| shard.look(Numbers::of));
        numbers.fold(Numbers::default(), Numbers::plus)
    }

    /// Rebalances of classic groups that have ended, and rises of consumer groups' epochs, since the coordinators were loaded.
    pub fn rebalances(&self) -> (u64, u64) {
        let shards = self.shards.load_full();
        let counts = shards.iter().flatten().filter_map(|shard| shard.look(|_, soft| ottla_group::rebalances(soft)));
        counts.fold((0, 0), |(classic, consumer), (more, others)| (classic + more, consumer + others))
    }

    /// What was counted of up to `most` groups that have rebalanced.
    pub fn tallies(&self, most: usize) -> Vec<(Arc<str>, Tally)> {
        let shards = self.shards.load_full();
        let of_shard = |shard: &Arc<Host<Machine>>| shard.look(|_, soft| tallies(soft, most));
        shards.iter().flatten().filter_map(of_shard).flatten().take(most).collect()
    }

    /// How the coordinators are.
    pub fn conditions(&self) -> Vec<Condition> {
        self.shards.load_full().iter().flatten().filter_map(|shard| shard.condition()).collect()
    }

    fn shard_of(&self, group: &str) -> Result<Arc<Host<Machine>>, ErrorCode> {
        let shards = self.shards.load();
        let place = partition_of(group, shards.len()).ok_or(ErrorCode::NotCoordinator)?;
        shards[place].clone().ok_or(ErrorCode::NotCoordinator)
    }

    /// Takes in what was just published.
    pub fn follow(&self, published: &Published, change: &Change) {
        if *change != Change::default() {
            self.follow_cluster(&published.image, change);
        }
        let partitions = published.topics.find(TopicKey::Name(CONSUMER_OFFSETS)).map(|topic| &topic.partitions);
        let before = self.shards.load_full();
        let after: Vec<_> = partitions
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(index, partition)| {
                let partition = partition.as_ref()?;
                let is_of = |host: &&Arc<Host<Machine>>| Arc::ptr_eq(&host.partition, partition);
                let known = before.get(index).and_then(Option::as_ref).filter(is_of);
                Some(known.cloned().unwrap_or_else(|| {
                    let (appended, shared) = (self.appended.clone(), self.shared.clone());
                    let times = self.times.clone();
                    Host::start(&self.rt, partition.clone(), appended, shared, times, self.stop.clone())
                }))
            })
            .collect();
        let stays = |host: &Arc<Host<Machine>>| after.iter().flatten().any(|after| Arc::ptr_eq(after, host));
        before.iter().flatten().filter(|host| !stays(host)).for_each(|host| host.end());
        self.shards.store(Arc::new(after));
    }

    /// Lets the shards know of the cluster.
    fn follow_cluster(&self, image: &Image, change: &Change) {
        let Change { topics: changed, deleted, group_configs } = change;
        let mut cluster = Cluster::clone(&self.shared.cluster.load());
        cluster.version += 1;
        let version = cluster.version;
        if *group_configs {
            cluster.group_configs = (version, self.group_configs(image));
        }
        if !changed.is_empty() || !deleted.is_empty() {
            let (at, topics) = &mut cluster.topics;
            *at = version;
            deleted.iter().for_each(|topic| topics.remove(&topic.name));
            for topic in changed.iter().filter_map(|id| image.topics().get_by_id(id)) {
                topics.insert(topic.name.clone(), of_image(image, topic));
            }
            cluster.deleted.extend(deleted.iter().map(|topic| (version, topic.clone())));
            let too_many = cluster.deleted.len().saturating_sub(DELETED_MAX);
            cluster.deleted.drain(..too_many);
        }
        self.shared.cluster.store(Arc::new(cluster));
        self.shards.load().iter().flatten().for_each(|host| host.nudge());
    }

    /// Of each group that has a configuration of its own, what is so for it; and of the others.
    fn group_configs(&self, image: &Image) -> GroupConfigs {
        let server = image.configs().layers(&self.server);
        let own = image.configs().groups().map(|(name, group)| {
            let config = GroupLayers { group, server }.config();
            let config = ottla_group::GroupConfig {
                session_timeout_ms: Some(config.consumer_session_timeout_ms),
                heartbeat_interval_ms: Some(config.consumer_heartbeat_interval_ms),
                assignment_interval_ms: Some(config.consumer_assignment_interval_ms),
            };
            (name.clone(), config)
        });
        // Of what is so for all, this alone can be changed while the broker runs.
        let assignment_interval_ms = Some(server.get(keys::GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS));
        let all = ottla_group::GroupConfig { assignment_interval_ms, ..Default::default() };
        GroupConfigs { own: own.collect(), all }
    }
}

/// The partition of `__consumer_offsets` that a group belongs to. `None` if there is none.
pub fn partition_of(group: &str, partitions: usize) -> Option<usize> {
    // Java's hash of a string, and Kafka's absolute value, in which the smallest number has none.
    let hash = group.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    (hash.checked_abs().unwrap_or(0) as usize).checked_rem(partitions)
}

fn of_image(image: &Image, topic: &Topic) -> ottla_group::Topic {
    let racks = topic.partitions().map(|(_, partition)| {
        let brokers = partition.replicas.iter().filter_map(|id| image.brokers().get(*id));
        brokers.filter_map(|broker| broker.rack.clone()).collect()
    });
    let partitions = i32::try_from(topic.partition_count()).unwrap_or(i32::MAX);
    ottla_group::Topic { id: topic.id, partitions, racks: racks.collect() }
}

fn config_of(config: &ServerConfig) -> Config {
    let count = |count: i32| usize::try_from(count).unwrap_or(0);
    let assignors = config.get(keys::GROUP_CONSUMER_ASSIGNORS);
    let assignors: Vec<&str> = assignors.iter().map(|name| &**name).collect();
    Config {
        session_timeout_ms_min: config.get(keys::GROUP_MIN_SESSION_TIMEOUT_MS),
        session_timeout_ms_max: config.get(keys::GROUP_MAX_SESSION_TIMEOUT_MS),
        initial_rebalance_delay_ms: config.get(keys::GROUP_INITIAL_REBALANCE_DELAY_MS),
        members_max: count(config.get(keys::GROUP_MAX_SIZE)),
        offset_metadata_max: count(config.get(keys::OFFSET_METADATA_MAX_BYTES)),
        offsets_retention_ms: i64::from(config.get(keys::OFFSETS_RETENTION_MINUTES)) * 60_000,
        offsets_retention_check_interval_ms: config.get(keys::OFFSETS_RETENTION_CHECK_INTERVAL_MS),
        batch_bytes_max: count(config.get(keys::MESSAGE_MAX_BYTES)),
        consumer_session_timeout_ms: config.get(keys::GROUP_CONSUMER_SESSION_TIMEOUT_MS),
        consumer_heartbeat_interval_ms: config.get(keys::GROUP_CONSUMER_HEARTBEAT_INTERVAL_MS),
        consumer_assignment_interval_ms: config.get(keys::GROUP_CONSUMER_ASSIGNMENT_INTERVAL_MS),
        consumer_members_max: count(config.get(keys::GROUP_CONSUMER_MAX_SIZE)),
        consumer_assignors: Assignors::named(&assignors).expect("the configuration was checked"),
        consumer_regex_refresh_interval_ms: config.get(keys::GROUP_CONSUMER_REGEX_REFRESH_INTERVAL_MS),
        consumer_migration_policy: policy(&config.get(keys::GROUP_CONSUMER_MIGRATION_POLICY)),
        history_bytes_max: HISTORY_BYTES_MAX / count(config.get(keys::OFFSETS_TOPIC_NUM_PARTITIONS)).max(1),
    }
}

fn policy(name: &str) -> MigrationPolicy {
    let policies = [
        ("disabled", MigrationPolicy::Disabled),
        ("upgrade", MigrationPolicy::Upgrade),
        ("downgrade", MigrationPolicy::Downgrade),
        ("bidirectional", MigrationPolicy::Bidirectional),
    ];
    let found = policies.into_iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.expect("the configuration was checked").1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_belongs_where_kafka_puts_it() {
        // What `kafka-consumer-groups --describe` and the log's directories of a real Kafka say.
        for (group, partition) in [("", 0), ("a", 47), ("group", 47), ("polygenelubricants", 0)] {
            assert_eq!(partition_of(group, 50), Some(partition), "{group}");
        }
        assert_eq!(partition_of("a", 0), None);
    }
}
