//! Records and replies as short lines. What is as it always is, is not shown; times are those since the start.

use std::fmt::Write;

use bytes::Bytes;
use ottla_base::Uuid;
use ottla_group::{Explained, Late, Protocol, Reason, Rebalance, Record, Reply, What};
use ottla_wire::ErrorCode;
use ottla_wire::messages::ConsumerGroupHeartbeatResponse;
use ottla_wire::messages::consumer_group_describe_response::{
    Assignment as DescribedAssignment, DescribedGroup as DescribedConsumerGroup,
};
use ottla_wire::records::consumer_offsets::consumer_group_current_member_assignment_value::TopicPartitions;
use ottla_wire::records::consumer_offsets::{
    ConsumerGroupCurrentMemberAssignmentValue, ConsumerGroupMemberMetadataValue, GroupMetadataValue, OffsetCommitValue,
};

use crate::node::START_MS;

/// What stands before the number of a member in its id, where the uuid is the number.
const ZEROS: &str = "-00000000-0000-0000-0000-0000000";

/// The id of a member with a short number: `a-1`.
pub fn short(id: &str) -> String {
    match id.split_once(ZEROS) {
        Some((origin, number)) => format!("{origin}-{}", i64::from_str_radix(number, 16).unwrap()),
        None => id.to_owned(),
    }
}

/// The id of which this is [`short`].
pub fn long(id: &str) -> String {
    match id.rsplit_once('-') {
        Some((origin, number)) if number.parse::<u32>().is_ok() => {
            format!("{origin}{ZEROS}{:05x}", number.parse::<u32>().unwrap())
        }
        _ => id.to_owned(),
    }
}

pub fn explained(explained: &Explained) -> String {
    let Explained { summary, epoch, members, rebalances, committed } = explained;
    let mut out = format!("{} {} {epoch} with {} members", summary.kind, summary.state, members.len());
    for committed in committed {
        write!(out, " {}-{}={}", committed.topic, committed.partition, committed.offset).unwrap();
    }
    out.push('\n');
    rebalances.iter().for_each(|one| out.push_str(&rebalance(one)));
    out
}

fn rebalance(rebalance: &Rebalance) -> String {
    let Rebalance { protocol, began_ms, ended_ms, before, after, reasons, more_reasons, moved, idle_ms } = rebalance;
    let number = match protocol {
        Protocol::Classic => "generation",
        Protocol::Consumer => "epoch",
    };
    let mut out = format!("  at {} {number} {before} to {after}", began_ms - START_MS);
    if let Some(ended_ms) = ended_ms {
        write!(out, " until {}", ended_ms - START_MS).unwrap();
    }
    if let Some(moved) = moved {
        write!(out, " moved {moved}").unwrap();
    }
    if let Some(idle_ms) = idle_ms {
        write!(out, " idle {idle_ms}").unwrap();
    }
    out.push('\n');
    for Reason { what, who } in reasons {
        let what = match what {
            What::Replaced { by } => format!("Replaced by {}", short(by)),
            What::TimedOut(late) => format!("TimedOut {}", self::late(late)),
            What::TooSlow(late) => format!("TooSlow {}", self::late(late)),
            what => format!("{what:?}"),
        };
        let who = who.as_ref().map_or(String::new(), |who| {
            let instance = who.instance_id.as_ref().map_or(String::new(), |instance| format!("#{instance}"));
            format!(": {}{instance} client {:?} {}", short(&who.member_id), who.client_id, who.client_host)
        });
        writeln!(out, "    {what}{who}").unwrap();
    }
    if *more_reasons > 0 {
        writeln!(out, "    and {more_reasons} more").unwrap();
    }
    out
}

fn late(Late { timeout_ms, late_ms, is_back, .. }: &Late) -> String {
    format!("after {timeout_ms} and {late_ms}{}", if *is_back { ", heard again" } else { "" })
}

pub fn record(record: &Record) -> String {
    match record {
        Record::OffsetCommit(key, value) => {
            let text = value.as_ref().map_or("gone".into(), offset);
            format!("OFFSET {:?} {}-{} {text}", key.group, key.topic, key.partition)
        }
        Record::GroupMetadata(key, value) => {
            format!("GROUP {:?} {}", key.group, value.as_ref().map_or("gone".into(), group))
        }
        _ => consumer_record(record),
    }
}

fn consumer_record(record: &Record) -> String {
    fn said<T>(value: &Option<T>, said: impl Fn(&T) -> String) -> String {
        value.as_ref().map_or("gone".into(), said)
    }
    match record {
        Record::ConsumerGroupMetadata(key, value) => {
            let text = said(value, |v| format!("{} of topics {:x}", v.epoch, v.metadata_hash));
            format!("EPOCH {:?} {text}", key.group_id)
        }
        Record::ConsumerGroupPartitionMetadata(key, value) => {
            format!("TOPICS {:?} {}", key.group_id, said(value, |v| format!("{:?}", v.topics)))
        }
        Record::ConsumerGroupMemberMetadata(key, value) => {
            format!("MEMBER {:?} {} {}", key.group_id, key.member_id, said(value, member))
        }
        Record::ConsumerGroupTargetAssignmentMetadata(key, value) => {
            let text = said(value, |v| {
                let at = v.assignment_timestamp - START_MS;
                format!("{} at {at}", v.assignment_epoch)
            });
            format!("TARGETS {:?} {text}", key.group_id)
        }
        Record::ConsumerGroupTargetAssignmentMember(key, value) => {
            let text =
                said(value, |v| partitions(v.topic_partitions.iter().map(|t| (&t.topic_id, t.partitions.as_slice()))));
            format!("TARGET {:?} {} {text}", key.group_id, key.member_id)
        }
        Record::ConsumerGroupCurrentMemberAssignment(key, value) => {
            format!("OWNS {:?} {} {}", key.group_id, key.member_id, said(value, owned))
        }
        Record::ConsumerGroupRegularExpression(key, value) => {
            let text = said(value, |v| format!("[{}] at {}", v.topics.join(","), v.timestamp - START_MS));
            format!("PATTERN {:?} {:?} {text}", key.group_id, key.regular_expression)
        }
        Record::OffsetCommit(..) | Record::GroupMetadata(..) => panic!("of no consumer group: {record:?}"),
    }
}

fn member(value: &ConsumerGroupMemberMetadataValue) -> String {
    let mut text = String::new();
    if let Some(instance) = &value.instance_id {
        write!(text, "({instance}) ").unwrap();
    }
    write!(text, "client {:?} {}", value.client_id, value.client_host).unwrap();
    if let Some(rack) = &value.rack_id {
        write!(text, " rack {rack}").unwrap();
    }
    write!(text, " [{}]", value.subscribed_topic_names.join(",")).unwrap();
    match &value.subscribed_topic_regex {
        Some(pattern) if !pattern.is_empty() => write!(text, " like {pattern:?}").unwrap(),
        _ => {}
    }
    if let Some(assignor) = &value.server_assignor {
        write!(text, " by {assignor}").unwrap();
    }
    write!(text, " rebalance {}", value.rebalance_timeout_ms).unwrap();
    if let Some(classic) = &value.classic_member_metadata {
        let protocols = classic.supported_protocols.iter().map(|p| format!("{}:{}", p.name, said(&p.metadata)));
        let protocols = protocols.collect::<Vec<_>>().join(";");
        write!(text, " classic session {} {protocols}", classic.session_timeout_ms).unwrap();
    }
    text
}

fn owned(value: &ConsumerGroupCurrentMemberAssignmentValue) -> String {
    let each = |topics: &[TopicPartitions]| {
        let topics = topics.iter().map(|topic| {
            let epochs = topic.assignment_epochs.as_ref().unwrap();
            let partitions = topic.partitions.iter().zip(epochs).map(|(p, epoch)| format!("{p}@{epoch}"));
            format!("{}:{}", topic_id(&topic.topic_id), partitions.collect::<Vec<_>>().join(","))
        });
        topics.collect::<Vec<_>>().join(" ")
    };
    let state = ["stable", "unrevoked", "unreleased"][value.state as usize];
    let mut text = format!(
        "epoch {} after {} {state} [{}]",
        value.member_epoch,
        value.previous_member_epoch,
        each(&value.assigned_partitions)
    );
    if !value.partitions_pending_revocation.is_empty() {
        write!(text, " revoking [{}]", each(&value.partitions_pending_revocation)).unwrap();
    }
    text
}

/// `[#1:0,1 #2:0]`
fn partitions<'a>(topics: impl Iterator<Item = (&'a Uuid, &'a [i32])>) -> String {
    let topics = topics.map(|(id, partitions)| {
        let partitions = partitions.iter().map(i32::to_string).collect::<Vec<_>>();
        format!("{}:{}", topic_id(id), partitions.join(","))
    });
    format!("[{}]", topics.collect::<Vec<_>>().join(" "))
}

fn offset(value: &OffsetCommitValue) -> String {
    let mut text = format!("{} {:?} at {}", value.offset, value.metadata, value.commit_timestamp - START_MS);
    if value.leader_epoch != -1 {
        write!(text, " epoch {}", value.leader_epoch).unwrap();
    }
    if value.expire_timestamp != -1 {
        write!(text, " expires {}", value.expire_timestamp - START_MS).unwrap();
    }
    if !value.topic_id.is_zero() {
        write!(text, " of {}", topic_id(&value.topic_id)).unwrap();
    }
    text
}

fn group(value: &GroupMetadataValue) -> String {
    let mut text = format!("{:?} generation {}", value.protocol_type, value.generation);
    if let Some(protocol) = &value.protocol {
        write!(text, " {protocol}").unwrap();
    }
    if let Some(leader) = &value.leader {
        write!(text, " leader {}", short(leader)).unwrap();
    }
    write!(text, " since {}", value.current_state_timestamp - START_MS).unwrap();
    for member in &value.members {
        write!(text, "\n  {}", short(&member.member_id)).unwrap();
        if let Some(instance) = &member.group_instance_id {
            write!(text, " ({instance})").unwrap();
        }
        let bytes = |bytes: &Bytes| said(bytes);
        write!(
            text,
            " client {:?} {} session {} rebalance {} says {} has {}",
            member.client_id,
            member.client_host,
            member.session_timeout,
            member.rebalance_timeout,
            bytes(&member.subscription),
            given(&member.assignment)
        )
        .unwrap();
    }
    text
}

/// Subscriptions, or whatever a member said.
fn said(bytes: &Bytes) -> String {
    match subscription_topics(bytes) {
        Some(topics) => format!("[{topics}]"),
        None => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

/// What consumers are assigned, or whatever a leader gave.
fn given(bytes: &Bytes) -> String {
    use ottla_wire::records::{consumer_protocol::ConsumerProtocolAssignment, decode_versioned, encode_versioned};
    let read = decode_versioned::<ConsumerProtocolAssignment>(&mut ottla_wire::Reader::new(bytes));
    let mut again = Vec::new();
    if let Ok(assignment) = &read {
        encode_versioned(assignment, &mut ottla_wire::Writer::new(&mut again), bytes[1].into());
    }
    match read {
        Ok(assignment) if again == *bytes => {
            let topics = assignment.assigned_partitions.iter();
            let topics = topics.map(|topic| format!("{}:{:?}", topic.topic, topic.partitions));
            format!("<{}>", topics.collect::<Vec<_>>().join(" "))
        }
        _ => format!("{:?}", String::from_utf8_lossy(bytes)),
    }
}

fn subscription_topics(bytes: &Bytes) -> Option<String> {
    use ottla_wire::records::{consumer_protocol::ConsumerProtocolSubscription, decode_versioned};
    let subscription: ConsumerProtocolSubscription = decode_versioned(&mut ottla_wire::Reader::new(bytes)).ok()?;
    Some(subscription.topics.join(","))
}

/// The topic ids of these tests have one digit.
pub fn topic_id(id: &Uuid) -> String {
    format!("#{}", id.0[15])
}

pub fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}

pub fn reply(reply: &Reply) -> Vec<String> {
    match reply {
        Reply::JoinGroup(r) => {
            let mut text = format!("JOIN {} generation {}", code(r.error_code), r.generation_id);
            if let (Some(kind), Some(name)) = (&r.protocol_type, &r.protocol_name) {
                write!(text, " {kind}/{name}").unwrap();
            }
            write!(text, " leader {:?} is {:?}", short(&r.leader), short(&r.member_id)).unwrap();
            if r.skip_assignment {
                text.push_str(" skip assignment");
            }
            for member in &r.members {
                write!(text, "\n  {}", short(&member.member_id)).unwrap();
                if let Some(instance) = &member.group_instance_id {
                    write!(text, " ({instance})").unwrap();
                }
                write!(text, " {}", said(&member.metadata)).unwrap();
            }
            vec![text]
        }
        Reply::SyncGroup(r) => {
            let mut text = format!("SYNC {}", code(r.error_code));
            if let (Some(kind), Some(name)) = (&r.protocol_type, &r.protocol_name) {
                write!(text, " {kind}/{name}").unwrap();
            }
            write!(text, " {}", given(&r.assignment)).unwrap();
            vec![text]
        }
        Reply::Heartbeat(r) => vec![format!("HEARTBEAT {}", code(r.error_code))],
        Reply::LeaveGroup(r) => {
            let mut text = format!("LEAVE {}", code(r.error_code));
            for member in &r.members {
                let instance = member.group_instance_id.as_deref().unwrap_or("-");
                write!(text, "\n  {:?} ({instance}) {}", short(&member.member_id), code(member.error_code)).unwrap();
            }
            vec![text]
        }
        Reply::OffsetCommit(r) => {
            let partitions = r.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| format!("{}-{} {}", topic.name, p.partition_index, code(p.error_code)))
            });
            vec![format!("COMMIT {}", partitions.collect::<Vec<_>>().join(", "))]
        }
        Reply::OffsetFetch(r) => {
            let mut text = format!("FETCH {}", code(r.error_code));
            for topic in &r.topics {
                for p in &topic.partitions {
                    let metadata = p.metadata.as_deref().unwrap();
                    let (offset, epoch) = (p.committed_offset, p.committed_leader_epoch);
                    write!(text, "\n  {}-{} {offset} epoch {epoch} {metadata:?}", topic.name, p.partition_index)
                        .unwrap();
                    assert_eq!(p.error_code, 0);
                }
            }
            vec![text]
        }
        Reply::OffsetDelete(r) => {
            let partitions = r.topics.iter().flat_map(|topic| {
                topic.partitions.iter().map(|p| format!(" {}-{} {}", topic.name, p.partition_index, code(p.error_code)))
            });
            vec![format!("DELETE OFFSETS {}{}", code(r.error_code), partitions.collect::<Vec<_>>().join(","))]
        }
        Reply::TopicsDeleted | Reply::TopicsChanged | Reply::GroupConfigsChanged => vec!["done".into()],
        Reply::ConsumerGroupHeartbeat(r) => vec![beat(r)],
        Reply::ConsumerGroupDescribe(r) => r.groups.iter().map(described_consumer).collect(),
        Reply::DescribeGroups(r) => r.groups.iter().map(described).collect(),
        Reply::ListGroups(r) => {
            let mut text = format!("LIST {}", code(r.error_code));
            for group in &r.groups {
                let (id, kind) = (&group.group_id, &group.protocol_type);
                write!(text, "\n  {id:?} {kind:?} {} {}", group.group_state, group.group_type).unwrap();
            }
            vec![text]
        }
        Reply::DeleteGroups(r) => {
            let groups = r.results.iter().map(|group| format!(" {:?} {}", group.group_id, code(group.error_code)));
            vec![format!("DELETE{}", groups.collect::<Vec<_>>().join(","))]
        }
    }
}

fn beat(r: &ConsumerGroupHeartbeatResponse) -> String {
    if r.error_code != 0 {
        assert_eq!((r.member_epoch, r.heartbeat_interval_ms, &r.member_id, &r.assignment), (0, 0, &None, &None));
        return format!("BEAT {} ({})", code(r.error_code), r.error_message.as_ref().unwrap());
    }
    let mut text = format!("BEAT {} epoch {}", r.member_id.as_ref().unwrap(), r.member_epoch);
    if r.member_epoch >= 0 {
        write!(text, " again in {}", r.heartbeat_interval_ms).unwrap();
    }
    if let Some(assignment) = &r.assignment {
        let topics = assignment.topic_partitions.iter().map(|t| (&t.topic_id, t.partitions.as_slice()));
        write!(text, " has {}", partitions(topics)).unwrap();
    }
    text
}

fn described_consumer(group: &DescribedConsumerGroup) -> String {
    let mut text = format!("GROUP {:?} {}", group.group_id, code(group.error_code));
    if let Some(message) = &group.error_message {
        write!(text, " ({message})").unwrap();
        return text;
    }
    let (state, assignor) = (&group.group_state, &group.assignor_name);
    write!(text, " {state} epoch {} assigned {} by {assignor}", group.group_epoch, group.assignment_epoch).unwrap();
    for member in &group.members {
        write!(text, "\n  {} epoch {}", member.member_id, member.member_epoch).unwrap();
        if let Some(instance) = &member.instance_id {
            write!(text, " ({instance})").unwrap();
        }
        if let Some(rack) = &member.rack_id {
            write!(text, " rack {rack}").unwrap();
        }
        let (names, pattern) = (member.subscribed_topic_names.join(","), &member.subscribed_topic_regex);
        write!(text, " client {:?} {} [{names}] {pattern:?}", member.client_id, member.client_host).unwrap();
        let named = |assignment: &DescribedAssignment| {
            let topics = assignment.topic_partitions.iter().map(|t| format!("{}:{:?}", t.topic_name, t.partitions));
            topics.collect::<Vec<_>>().join(" ")
        };
        let (has, gets) = (named(&member.assignment), named(&member.target_assignment));
        write!(text, " type {} has [{has}] shall have [{gets}]", member.member_type).unwrap();
    }
    text
}

fn described(group: &ottla_wire::messages::describe_groups_response::DescribedGroup) -> String {
    let mut text = format!("GROUP {:?} {} {}", group.group_id, code(group.error_code), group.group_state);
    if let Some(message) = &group.error_message {
        write!(text, " ({message})").unwrap();
    }
    write!(text, " {:?}/{:?}", group.protocol_type, group.protocol_data).unwrap();
    for member in &group.members {
        write!(text, "\n  {}", short(&member.member_id)).unwrap();
        if let Some(instance) = &member.group_instance_id {
            write!(text, " ({instance})").unwrap();
        }
        let (says, has) = (said(&member.member_metadata), given(&member.member_assignment));
        write!(text, " client {:?} {} says {says} has {has}", member.client_id, member.client_host).unwrap();
    }
    text
}
