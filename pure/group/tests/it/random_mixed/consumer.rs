//! What a client of the consumer protocol says, hears and does.

use ottla_base::Uuid;
use ottla_group::{Command, ConsumerGroupHeartbeat, Reply};
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use super::client::{Client, by_topic, id, name};
use super::{GROUP, Hears, REBALANCE_MS, World};
use crate::show;

impl World {
    /// Sends a heartbeat, and gives up what it is told to.
    pub fn go_consumer(&mut self, client: usize, hears: Hears) {
        self.beat(client, hears);
        if hears == Hears::Answer {
            self.clients[client].follow();
        }
    }

    /// Sends a heartbeat, and goes on to read what it must give up.
    pub fn beat(&mut self, client: usize, hears: Hears) {
        let reply = self.submit_beat(client, None);
        if hears == Hears::Nothing {
            return;
        }
        let is_final = !self.upgrades() && self.is_settling;
        let known = &mut self.clients[client];
        match show::code(reply.error_code) {
            ErrorCode::None => known.told_consumer(reply),
            ErrorCode::FencedMemberEpoch | ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => known.lose_all(),
            ErrorCode::UnreleasedInstanceId => assert_eq!(known.epoch, 0),
            ErrorCode::GroupIdNotFound => {
                known.lose_all();
                if is_final {
                    known.switch(client);
                }
            }
            other => panic!("nobody should be told {other}"),
        }
    }

    /// Sends a heartbeat, with another epoch than the client's if it leaves.
    pub fn submit_beat(&mut self, client: usize, leave_epoch: Option<i32>) -> ConsumerGroupHeartbeatResponse {
        let known = &self.clients[client];
        let owned = by_topic(&known.owned).into_iter();
        let owned =
            owned.map(|(topic, partitions)| TopicPartitions { topic_id: id(topic), partitions, ..Default::default() });
        let request = ConsumerGroupHeartbeatRequest {
            group_id: GROUP.into(),
            member_id: known.member_id.clone(),
            member_epoch: leave_epoch.unwrap_or(known.epoch),
            instance_id: World::instance(client),
            rebalance_timeout_ms: REBALANCE_MS,
            subscribed_topic_names: Some(if known.has_pattern() { Vec::new() } else { known.names() }),
            subscribed_topic_regex: Some(if known.has_pattern() { ".*".into() } else { "".into() }),
            topic_partitions: Some(owned.collect()),
            ..Default::default()
        };
        let heartbeat = ConsumerGroupHeartbeat {
            request,
            version: 1,
            client_id: format!("c{client}").into(),
            client_host: "/h".into(),
            uuid: Uuid::ZERO,
        };
        let reply = self.ask(Command::ConsumerGroupHeartbeat(heartbeat));
        let Reply::ConsumerGroupHeartbeat(reply) = reply else { panic!("a heartbeat is answered") };
        reply
    }
}

impl Client {
    fn told_consumer(&mut self, reply: ConsumerGroupHeartbeatResponse) {
        if reply.member_epoch != self.epoch {
            self.previous_epoch = self.epoch;
            self.epoch = reply.member_epoch;
        }
        if let Some(assignment) = reply.assignment {
            let topics = assignment.topic_partitions.into_iter();
            let places = topics.flat_map(|topic| topic.partitions.into_iter().map(move |p| (name(&topic.topic_id), p)));
            self.assigned = places.collect();
            // What is to be given up is read until then.
            self.owned.extend(&self.assigned);
        }
    }

    /// Gives up what it does not own any longer.
    pub fn follow(&mut self) {
        self.owned = self.assigned.clone();
    }
}
