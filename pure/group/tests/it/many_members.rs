//! A thousand members of one group: a join costs what one member costs, a target is computed once an interval, and a
//! heartbeat that changes nothing writes nothing.

use std::sync::Arc;

use ottla_base::Uuid;
use ottla_group::{Command, Config, ConsumerGroupHeartbeat, Record, Reply, Topic, Topics};
use ottla_machine::Waiter;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::node::{Node, START_MS};

const MEMBERS: usize = 1_000;
const PARTITIONS: i32 = 3_000;
/// What passes between two requests: all members are heard of in half a second.
const STEP_US: i64 = 500;

struct Member {
    id: Arc<str>,
    epoch: i32,
    owned: Vec<i32>,
}

struct World {
    node: Node,
    passed_us: i64,
    targets: usize,
}

impl World {
    /// Sends a heartbeat, and says how many records it wrote.
    fn beat(&mut self, member: &mut Member) -> usize {
        self.passed_us += STEP_US;
        self.node.now.mono_ms = self.passed_us / 1_000;
        self.node.now.wall_ms = START_MS + self.node.now.mono_ms;
        let is_joining = member.epoch == 0;
        let owned = TopicPartitions { topic_id: Uuid([1; 16]), partitions: member.owned.clone(), ..Default::default() };
        let request = ConsumerGroupHeartbeatRequest {
            group_id: "g".into(),
            member_id: member.id.clone(),
            member_epoch: member.epoch,
            rebalance_timeout_ms: if is_joining { 30_000 } else { -1 },
            subscribed_topic_names: is_joining.then(|| vec!["t".into()]),
            topic_partitions: Some(if is_joining { Vec::new() } else { vec![owned] }),
            ..Default::default()
        };
        let heartbeat = ConsumerGroupHeartbeat {
            request,
            version: 1,
            client_id: "c".into(),
            client_host: "/h".into(),
            uuid: Uuid::ZERO,
        };
        let (records, mut replies) = self.node.submit(Waiter(1), Command::ConsumerGroupHeartbeat(heartbeat));
        let is_target =
            |(_, record): &&(i64, Record)| matches!(record, Record::ConsumerGroupTargetAssignmentMetadata(..));
        self.targets += records.iter().filter(is_target).count();
        let Some((_, Reply::ConsumerGroupHeartbeat(reply))) = replies.pop() else { panic!("a heartbeat is answered") };
        told(member, reply);
        records.len()
    }
}

fn told(member: &mut Member, reply: ConsumerGroupHeartbeatResponse) {
    assert_eq!(reply.error_code, 0, "{:?}", reply.error_message);
    member.epoch = reply.member_epoch;
    if let Some(assignment) = reply.assignment {
        member.owned = assignment.topic_partitions.into_iter().flat_map(|topic| topic.partitions).collect();
    }
}

#[test]
fn they_join_and_settle() {
    let mut node = Node::new(Config::default());
    let mut topics = Topics::default();
    topics.insert("t".into(), Topic { id: Uuid([1; 16]), partitions: PARTITIONS, racks: Vec::new() });
    node.topics = topics;
    node.crash();
    let mut world = World { node, passed_us: 0, targets: 0 };
    let mut members: Vec<Member> = (0..MEMBERS)
        .map(|number| Member { id: format!("member-{number}").into(), epoch: 0, owned: Vec::new() })
        .collect();
    let mut rounds = 0;
    loop {
        rounds += 1;
        let written: usize = members.iter_mut().map(|member| world.beat(member)).sum();
        if rounds > 3 && written == 0 {
            break;
        }
        assert!(rounds < 10, "still {written} records");
    }
    assert_eq!(world.targets, 2, "one for the first member, one for all");
    assert!(members.iter().all(|member| member.owned.len() == PARTITIONS as usize / MEMBERS));
    let mut owned: Vec<i32> = members.iter().flat_map(|member| member.owned.clone()).collect();
    owned.sort_unstable();
    assert!(owned.into_iter().eq(0..PARTITIONS));
}
