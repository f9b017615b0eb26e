//! The machine of one partition of `__consumer_offsets`.
//!
//! A command is a request of one client to one coordinator, so all groups of a request belong to this partition: the host
//! splits what names groups of several. A group is durable as its last record says, and alive in memory while it has
//! members or expects some ([`classic::Group`]). Time moves groups as much as requests do: sessions end, a rebalance does
//! not wait for ever, offsets grow old.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::sync::Arc;

use ottla_base::TxnOutcome;
use ottla_machine::{At, Machine, Timers, Waiter};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    ConsumerGroupDescribeRequest, ConsumerGroupDescribeResponse, ConsumerGroupHeartbeatResponse, DeleteGroupsRequest,
    DeleteGroupsResponse, DescribeGroupsResponse, HeartbeatRequest, HeartbeatResponse, JoinGroupResponse,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, OffsetCommitResponse, OffsetDeleteRequest,
    OffsetDeleteResponse, OffsetFetchResponseGroup, SyncGroupResponse,
};
use ottla_wire::records::consumer_offsets::GroupMetadataValue;

use crate::classic::describe::DescribeGroups;
use crate::classic::join::JoinGroup;
use crate::classic::leave::LeaveGroup;
use crate::classic::sync::SyncGroup;
use crate::config::GroupConfigs;
use crate::consumer::heartbeat::ConsumerGroupHeartbeat;
use crate::consumer::replay;
use crate::history::History;
use crate::numbers::OffsetCounts;
use crate::offsets::commit::OffsetCommit;
use crate::offsets::fetch::OffsetFetch;
use crate::offsets::pending::PendingOffsets;
use crate::offsets::topics_deleted::DeletedTopic;
use crate::offsets::{self, Offset, Offsets};
use crate::topics::Topics;
use crate::{Config, Record, classic, consumer, delete, list};

/// The machine of a group coordinator.
#[derive(Debug)]
pub enum Groups {}

/// One decision of the coordinator.
pub(crate) type Step<'a> = ottla_machine::Step<'a, Groups>;

#[derive(Clone, Debug)]
pub enum Command {
    OffsetCommit(OffsetCommit),
    OffsetFetch(OffsetFetch),
    OffsetDelete(OffsetDeleteRequest),
    TopicsDeleted(Vec<DeletedTopic>),
    JoinGroup(JoinGroup),
    SyncGroup(SyncGroup),
    Heartbeat(HeartbeatRequest),
    LeaveGroup(LeaveGroup),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeat),
    /// Authorized operations are for the caller to fill in.
    ConsumerGroupDescribe(ConsumerGroupDescribeRequest),
    /// The topics as they are from now on. Comes to every coordinator when a topic was made, deleted or given partitions.
    TopicsChanged(Topics),
    /// The groups' own configurations as they are from now on.
    GroupConfigsChanged(GroupConfigs),
    DescribeGroups(DescribeGroups),
    ListGroups(ListGroupsRequest),
    DeleteGroups(DeleteGroupsRequest),
}

/// To each command its own. Those to JoinGroup and SyncGroup may come with a later step.
#[derive(Clone, Debug, PartialEq)]
pub enum Reply {
    OffsetCommit(OffsetCommitResponse),
    OffsetFetch(OffsetFetchResponseGroup),
    OffsetDelete(OffsetDeleteResponse),
    TopicsDeleted,
    JoinGroup(JoinGroupResponse),
    SyncGroup(SyncGroupResponse),
    Heartbeat(HeartbeatResponse),
    LeaveGroup(LeaveGroupResponse),
    ConsumerGroupHeartbeat(ConsumerGroupHeartbeatResponse),
    ConsumerGroupDescribe(ConsumerGroupDescribeResponse),
    TopicsChanged,
    GroupConfigsChanged,
    DescribeGroups(DescribeGroupsResponse),
    ListGroups(ListGroupsResponse),
    DeleteGroups(DeleteGroupsResponse),
}

/// What the log says. All of it grows with records only: it is limited by the log that holds those.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct State {
    /// Each group as it last became stable or empty; one that only commits offsets has the default here.
    pub(crate) groups: BTreeMap<Arc<str>, GroupMetadataValue>,
    /// The groups of the consumer protocol. None of them is in `groups`.
    pub(crate) consumer: BTreeMap<Arc<str>, consumer::Group>,
    /// By group; there are no empty maps in it.
    pub(crate) offsets: BTreeMap<Arc<str>, Offsets>,
    /// Those of `offsets` that are neither in `groups` nor in `consumer`: hardly ever any, so that a commit need not look.
    pub(crate) ended: BTreeSet<Arc<str>>,
    /// Those of transactions that are not over.
    pub(crate) pending: PendingOffsets,
}

impl State {
    pub(crate) fn make_group(&mut self, group: &Arc<str>) {
        if !self.groups.contains_key(group) && !self.consumer.contains_key(group) {
            self.groups.insert(group.clone(), GroupMetadataValue::default());
            self.ended.remove(group);
        }
    }

    /// Keeps [`State::ended`] true where a group's record has gone, or an offset has come that makes no group.
    pub(crate) fn note_if_ended(&mut self, group: &Arc<str>) {
        if self.offsets.contains_key(group) && !self.groups.contains_key(group) && !self.consumer.contains_key(group) {
            self.ended.insert(group.clone());
        }
    }
}

/// What the log does not say.
#[derive(Debug)]
pub struct Soft {
    pub(crate) config: Config,
    pub(crate) group_configs: GroupConfigs,
    pub(crate) topics: Topics,
    /// Groups that have members or expect some. Each is in [`State::groups`] too.
    pub(crate) classic: classic::Alive,
    /// By consumer group, what it has seen of the topics. No more than there are such groups.
    pub(crate) consumer: BTreeMap<Arc<str>, consumer::Seen>,
    /// Classic members of consumer groups that were told to join again.
    pub(crate) rejoining: BTreeSet<(Arc<str>, Arc<str>)>,
    /// How often the topics have changed.
    pub(crate) topics_changes: u64,
    /// At most two for each group, three for each member, and two for all.
    pub(crate) timers: Timers<Timer>,
    /// Topics that are gone, and whose offsets may not be yet.
    pub(crate) deleted_topics: Vec<DeletedTopic>,
    /// Where the search for old offsets goes on, while one is under way.
    pub(crate) expiry_from: Option<offsets::expire::Place>,
    /// Why groups had to share anew.
    pub(crate) history: History,
    pub(crate) offset_counts: OffsetCounts,
}

impl Soft {
    /// Without topics and configurations of groups: see [`Soft::with`].
    pub fn new(config: Config) -> Soft {
        Soft {
            config,
            group_configs: GroupConfigs::default(),
            topics: Topics::default(),
            classic: classic::Alive::default(),
            consumer: BTreeMap::new(),
            rejoining: BTreeSet::new(),
            // A group that has seen nothing has seen none.
            topics_changes: 1,
            timers: Timers::default(),
            deleted_topics: Vec::new(),
            expiry_from: None,
            history: History::within(config.history_bytes_max),
            offset_counts: OffsetCounts::default(),
        }
    }

    /// What is so at the start; changes come as [`Command::TopicsChanged`] and [`Command::GroupConfigsChanged`].
    pub fn with(self, topics: Topics, group_configs: GroupConfigs) -> Soft {
        Soft { topics, group_configs, ..self }
    }

    /// Topics that are gone, and of which the log may not have heard yet.
    pub fn without(self, deleted_topics: Vec<DeletedTopic>) -> Soft {
        Soft { deleted_topics, ..self }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Timer {
    /// The group does not wait any longer for members to join.
    Join(Arc<str>),
    /// The group does not wait any longer for members to sync.
    Sync(Arc<str>),
    /// The member of the group was not heard of for its session timeout.
    Session(Arc<str>, Arc<str>),
    /// The same in a consumer group.
    ConsumerSession(Arc<str>, Arc<str>),
    /// The member of the consumer group had its time to give up partitions.
    ConsumerRevocation(Arc<str>, Arc<str>),
    /// The classic member of the consumer group had its time to join again.
    ConsumerJoin(Arc<str>, Arc<str>),
    /// The classic member of the consumer group had its time to sync.
    ConsumerSync(Arc<str>, Arc<str>),
    /// There may be offsets left of topics that are gone.
    TopicsDeleted,
    /// Old offsets are looked for.
    Expiry,
}

impl Machine for Groups {
    type Hard = State;
    type Soft = Soft;
    type Command = Command;
    type Record = Record;
    type Reply = Reply;
    /// Members ask; nobody is told.
    type Effect = Infallible;

    fn decide(step: &mut Step<'_>, asker: Waiter, command: Command) {
        let reply = match command {
            Command::JoinGroup(join) => {
                step.soft.history.heard_again(step.now, &join.request.group_id, &join.request.member_id);
                return classic::join::decide(step, asker, join);
            }
            Command::SyncGroup(sync) => return classic::sync::decide(step, asker, sync),
            Command::Heartbeat(request) => {
                let (group, member) = (request.group_id.clone(), request.member_id.clone());
                let response = classic::heartbeat::decide(step, request);
                if response.error_code == ErrorCode::UnknownMemberId.code() {
                    step.soft.history.heard_again(step.now, &group, &member);
                }
                Reply::Heartbeat(response)
            }
            Command::LeaveGroup(leave) => Reply::LeaveGroup(classic::leave::decide(step, leave)),
            Command::OffsetCommit(commit) => Reply::OffsetCommit(offsets::commit::decide(step, commit)),
            Command::OffsetFetch(request) => Reply::OffsetFetch(offsets::fetch::decide(step, request)),
            Command::OffsetDelete(request) => Reply::OffsetDelete(offsets::delete::decide(step, request)),
            Command::TopicsDeleted(topics) => {
                offsets::topics_deleted::decide(step, topics);
                Reply::TopicsDeleted
            }
            Command::ConsumerGroupHeartbeat(heartbeat) => {
                let (group, member) = (heartbeat.request.group_id.clone(), heartbeat.request.member_id.clone());
                let response = consumer::heartbeat::decide(step, heartbeat);
                if response.error_code == ErrorCode::UnknownMemberId.code() {
                    step.soft.history.heard_again(step.now, &group, &member);
                }
                Reply::ConsumerGroupHeartbeat(response)
            }
            Command::ConsumerGroupDescribe(request) => {
                Reply::ConsumerGroupDescribe(consumer::describe::decide(step, request))
            }
            Command::TopicsChanged(topics) => {
                step.soft.topics = topics;
                step.soft.topics_changes += 1;
                Reply::TopicsChanged
            }
            Command::GroupConfigsChanged(configs) => {
                step.soft.group_configs = configs;
                Reply::GroupConfigsChanged
            }
            Command::DescribeGroups(describe) => Reply::DescribeGroups(classic::describe::decide(step, describe)),
            Command::ListGroups(request) => Reply::ListGroups(list::decide(step, request)),
            Command::DeleteGroups(request) => Reply::DeleteGroups(delete::decide(step, request)),
        };
        step.reply(asker, reply);
    }

    fn replay(state: &mut State, at: At, record: &Record) {
        match record {
            Record::OffsetCommit(key, Some(value)) => {
                state.commit_offset(at.offset, key, Offset::from(value));
            }
            Record::OffsetCommit(key, None) => state.forget_offset(key),
            Record::GroupMetadata(key, Some(value)) => {
                state.consumer.remove(&key.group);
                state.ended.remove(&key.group);
                state.groups.insert(key.group.clone(), value.clone());
            }
            Record::GroupMetadata(key, None) => {
                state.groups.remove(&key.group);
                state.note_if_ended(&key.group);
            }
            Record::ConsumerGroupMetadata(key, value) => replay::metadata(state, &key.group_id, value.as_ref()),
            Record::ConsumerGroupPartitionMetadata(key, value) => {
                replay::partition_metadata(state, &key.group_id, value.as_ref());
            }
            Record::ConsumerGroupMemberMetadata(key, value) => {
                replay::member(state, &key.group_id, &key.member_id, value.as_ref());
            }
            Record::ConsumerGroupTargetAssignmentMetadata(key, value) => {
                replay::target_metadata(state, &key.group_id, value.as_ref());
            }
            Record::ConsumerGroupTargetAssignmentMember(key, value) => {
                replay::target(state, &key.group_id, &key.member_id, value.as_ref());
            }
            Record::ConsumerGroupCurrentMemberAssignment(key, value) => {
                replay::current(state, &key.group_id, &key.member_id, value.as_ref());
            }
            Record::ConsumerGroupRegularExpression(key, value) => {
                replay::pattern(state, &key.group_id, &key.regular_expression, value.as_ref());
            }
        }
    }

    fn replay_pending(state: &mut State, at: At, producer_id: i64, record: &Record) {
        match record {
            Record::OffsetCommit(key, Some(value)) => {
                state.make_group(&key.group);
                state.commit_offset_pending(at.offset, producer_id, key, Offset::from(value));
            }
            // Transactions write nothing else.
            _ => Groups::replay(state, at, record),
        }
    }

    fn replay_marker(state: &mut State, producer_id: i64, outcome: TxnOutcome) {
        state.end_transaction(producer_id, outcome);
    }

    fn loaded(step: &mut Step<'_>) {
        classic::loaded(step);
        consumer::session::loaded(step);
        offsets::topics_deleted::forget_some(step);
        step.soft.timers.set(Timer::Expiry, step.now, step.soft.config.offsets_retention_check_interval_ms);
    }

    fn deadline(soft: &Soft) -> Option<i64> {
        soft.timers.deadline()
    }

    /// What is due up to the first thing that writes: a step is one batch, and thousands of sessions may end at one moment.
    /// No more than there was to begin with: what goes off may set timers that are due at once.
    fn expire(step: &mut Step<'_>) {
        let mut left = step.soft.timers.len();
        while left > 0
            && !step.log.has_written()
            && let Some((timer, due_ms)) = step.soft.timers.take_due(step.now)
        {
            left -= 1;
            match timer {
                Timer::Join(group) => classic::rebalance::join_due(step, &group, due_ms),
                Timer::Sync(group) => classic::rebalance::sync_due(step, &group, due_ms),
                Timer::Session(group, member) => classic::session::ended(step, &group, &member, due_ms),
                Timer::ConsumerSession(group, member) => consumer::session::ended(step, &group, &member, due_ms),
                Timer::ConsumerJoin(group, member) | Timer::ConsumerSync(group, member) => {
                    consumer::session::too_slow(step, &group, &member, due_ms);
                }
                Timer::ConsumerRevocation(group, member) => {
                    consumer::session::revocation_due(step, &group, &member, due_ms);
                }
                Timer::TopicsDeleted => offsets::topics_deleted::forget_some(step),
                Timer::Expiry => offsets::expire::due(step),
            }
        }
    }
}
