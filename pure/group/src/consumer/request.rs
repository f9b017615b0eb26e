//! What can be said of a heartbeat without looking at its group.

use ottla_wire::ErrorCode;

use super::heartbeat::{ConsumerGroupHeartbeat, JOIN_EPOCH};
use super::member::{LEFT_EPOCH, LEFT_FOR_NOW_EPOCH};
use super::refusal::Refusal;
use crate::Config;

pub(super) fn check(heartbeat: &ConsumerGroupHeartbeat, config: &Config) -> Result<(), Refusal> {
    let request = &heartbeat.request;
    let invalid = |message: &str| Err(Refusal::new(ErrorCode::InvalidRequest, message));
    let needs_member_id =
        heartbeat.client_makes_member_id() || request.member_epoch > 0 || request.member_epoch == LEFT_EPOCH;
    if needs_member_id && request.member_id.trim().is_empty() {
        return invalid("MemberId can't be empty.");
    }
    if request.group_id.trim().is_empty() {
        return invalid("GroupId can't be empty.");
    }
    if request.instance_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        return invalid("InstanceId can't be empty.");
    }
    if request.rack_id.as_ref().is_some_and(|id| id.trim().is_empty()) {
        return invalid("RackId can't be empty.");
    }
    match request.member_epoch {
        JOIN_EPOCH if request.rebalance_timeout_ms == -1 => {
            return invalid("RebalanceTimeoutMs must be provided in first request.");
        }
        JOIN_EPOCH if request.topic_partitions.as_ref().is_none_or(|topics| !topics.is_empty()) => {
            return invalid("TopicPartitions must be empty when (re-)joining.");
        }
        JOIN_EPOCH if request.subscribed_topic_names.is_none() && request.subscribed_topic_regex.is_none() => {
            return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.");
        }
        LEFT_FOR_NOW_EPOCH if request.instance_id.is_none() => return invalid("InstanceId can't be null."),
        ..LEFT_FOR_NOW_EPOCH => return invalid("MemberEpoch is invalid."),
        _ => {}
    }
    match &request.server_assignor {
        Some(name) if config.consumer_assignors.find(name).is_none() => {
            let known: Vec<&str> = config.consumer_assignors.iter().map(|assignor| assignor.name()).collect();
            let message = format!("ServerAssignor {name} is not supported. Supported assignors: {}.", known.join(", "));
            Err(Refusal::new(ErrorCode::UnsupportedAssignor, message))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_wire::messages::ConsumerGroupHeartbeatRequest;
    use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;

    fn joining() -> ConsumerGroupHeartbeatRequest {
        ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: "m".into(),
            rebalance_timeout_ms: 1,
            subscribed_topic_names: Some(Vec::new()),
            topic_partitions: Some(Vec::new()),
            ..Default::default()
        }
    }

    /// The error and the words, or nothing.
    fn refused(version: i16, change: impl FnOnce(&mut ConsumerGroupHeartbeatRequest)) -> Option<(ErrorCode, String)> {
        let mut request = joining();
        change(&mut request);
        let heartbeat = ConsumerGroupHeartbeat {
            request,
            version,
            client_id: "c".into(),
            client_host: "/h".into(),
            uuid: Default::default(),
        };
        check(&heartbeat, &Config::default()).err().map(|refusal| (refusal.code, refusal.message))
    }

    #[test]
    fn a_member_id_is_needed_but_of_a_new_member_in_version_0() {
        let needed = Some((ErrorCode::InvalidRequest, "MemberId can't be empty.".into()));
        assert_eq!(refused(1, |_| {}), None);
        assert_eq!(refused(0, |r| r.member_id = "".into()), None);
        assert_eq!(refused(1, |r| r.member_id = " ".into()), needed);
        for epoch in [1, LEFT_EPOCH] {
            let change = |r: &mut ConsumerGroupHeartbeatRequest| {
                r.member_id = "".into();
                r.member_epoch = epoch;
            };
            assert_eq!(refused(0, change), needed);
        }
    }

    #[test]
    fn what_is_wrong_is_said_in_the_words_of_kafka() {
        let invalid = |words: &str| Some((ErrorCode::InvalidRequest, words.to_owned()));
        assert_eq!(refused(1, |r| r.group_id = " ".into()), invalid("GroupId can't be empty."));
        assert_eq!(refused(1, |r| r.instance_id = Some("".into())), invalid("InstanceId can't be empty."));
        assert_eq!(refused(1, |r| r.rack_id = Some("".into())), invalid("RackId can't be empty."));
        assert_eq!(
            refused(1, |r| r.rebalance_timeout_ms = -1),
            invalid("RebalanceTimeoutMs must be provided in first request.")
        );
        for owned in [None, Some(vec![TopicPartitions::default()])] {
            let words = "TopicPartitions must be empty when (re-)joining.";
            assert_eq!(refused(1, |r| r.topic_partitions = owned), invalid(words));
        }
        assert_eq!(
            refused(1, |r| r.subscribed_topic_names = None),
            invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
        );
        assert_eq!(refused(1, |r| r.member_epoch = LEFT_FOR_NOW_EPOCH), invalid("InstanceId can't be null."));
        assert_eq!(refused(1, |r| r.member_epoch = -3), invalid("MemberEpoch is invalid."));
        let words = "ServerAssignor x is not supported. Supported assignors: uniform, range.";
        let unsupported = Some((ErrorCode::UnsupportedAssignor, words.to_owned()));
        assert_eq!(refused(1, |r| r.server_assignor = Some("x".into())), unsupported);
        assert_eq!(refused(1, |r| r.server_assignor = Some("range".into())), None);
    }
}
