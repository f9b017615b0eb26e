//! A member of a classic group: joins, is told its share or tells all theirs, shows that it lives, commits, and goes again.
//!
//! Until all is calm it does what programs do that are slow or end: it is silent for longer than its session, commits with
//! a generation that is over, leaves, or forgets that it was a member.

use std::sync::Arc;
use std::time::Duration;

use ottla_rt::Stop;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, JoinGroupResponse, LeaveGroupRequest, MemberIdentity,
    SyncGroupRequest, SyncGroupRequestAssignment,
};

use crate::group_client::{Committer, GroupClient, Trouble};
use crate::history::{GroupEvent, LogId, Member};
use crate::roster::{Place, Roster};
use crate::site::Site;

const PROTOCOL_TYPE: &str = "consumer";
/// Shortest session timeout that the broker takes.
pub const SESSION_MS_MIN: u64 = 1000;
const SESSION_MS_MAX: u64 = 3000;

/// Versions of requests that one client has.
#[derive(Clone, Copy, Debug)]
struct Dialect {
    join: i16,
    sync: i16,
    heartbeat: i16,
    leave: i16,
    commit: i16,
}

/// With ids that are known after the first answer, with ids that are known before (KIP-394), with static members (KIP-345),
/// and the newest.
const DIALECTS: &[Dialect] = &[
    Dialect { join: 2, sync: 1, heartbeat: 1, leave: 1, commit: 2 },
    Dialect { join: 4, sync: 2, heartbeat: 2, leave: 2, commit: 6 },
    Dialect { join: 5, sync: 3, heartbeat: 3, leave: 3, commit: 7 },
    Dialect { join: 9, sync: 5, heartbeat: 4, leave: 5, commit: 9 },
];
/// First version of JoinGroup with static members.
const STATIC_FROM: i16 = 5;

#[derive(Debug)]
pub struct ClassicMember {
    client: GroupClient,
    number: usize,
    roster: Roster,
    dialect: Dialect,
    instance_id: Option<Arc<str>>,
    session_ms: u64,
    rebalance_ms: u64,
    /// Empty until the coordinator has given one.
    id: Arc<str>,
    place: Option<Place>,
    /// The last place that is over.
    old: Option<Place>,
    next_offset: i64,
}

impl ClassicMember {
    pub fn new(client: GroupClient, number: usize, roster: Roster) -> ClassicMember {
        let dice = &client.site.dice;
        let dialect = dice.pick(DIALECTS);
        let is_static = dialect.join >= STATIC_FROM && dice.one_in(3);
        ClassicMember {
            instance_id: is_static.then(|| format!("static-{number}").into()),
            session_ms: dice.within(SESSION_MS_MIN..=SESSION_MS_MAX),
            rebalance_ms: dice.within(1000..=4000),
            client,
            number,
            roster,
            dialect,
            id: Arc::default(),
            place: None,
            old: None,
            next_offset: 1,
        }
    }

    /// Until `done` is told. From `calm` on it does nothing that disturbs others.
    pub async fn run(mut self, mut calm: Stop, mut done: Stop) {
        let Site { rt, dice, .. } = self.client.site.clone();
        loop {
            let pause = Duration::from_millis(dice.within(100..=self.session_ms / 3));
            if rt.timeout(pause, done.told()).await.is_some() {
                return self.leave().await;
            }
            if rt.timeout(Duration::ZERO, calm.told()).await.is_none() {
                self.stumble().await;
            }
            match self.step().await {
                Ok(()) | Err(Trouble::Away) => {}
                Err(Trouble::Refused(error)) => self.take_refusal(error),
            }
        }
    }

    async fn stumble(&mut self) {
        let Site { rt, dice, .. } = self.client.site.clone();
        match dice.within(0..=99) {
            0..4 => self.client.hang_up(),
            4..6 => rt.sleep(Duration::from_millis(dice.within(0..=2 * self.session_ms))).await,
            6..8 => self.leave().await,
            8 => self.forget(),
            9..14 => {
                if let Some(old) = self.old.take() {
                    // It has a reason to be refused, and this changes nothing.
                    let _ = self.commit(&old).await;
                    self.old = Some(old);
                }
            }
            _ => {}
        }
    }

    async fn step(&mut self) -> Result<(), Trouble> {
        let Some(place) = self.place.clone() else { return self.join().await };
        match self.client.site.dice.within(0..=9) {
            0..3 if !place.logs.is_empty() => self.commit(&place).await,
            3 => self.client.read().await,
            _ => self.beat(&place).await,
        }
    }

    fn take_refusal(&mut self, error: ErrorCode) {
        match error {
            ErrorCode::OffsetMetadataTooLarge | ErrorCode::MemberIdRequired => {}
            ErrorCode::RebalanceInProgress | ErrorCode::IllegalGeneration => self.lose_place(),
            ErrorCode::UnknownMemberId | ErrorCode::FencedInstanceId => self.forget(),
            ErrorCode::GroupIdNotFound => {
                self.client.note_unknown();
                self.forget();
            }
            error => self.client.site.broken(format!("member {} of {}: {error}", self.number, self.client.group)),
        }
    }

    fn lose_place(&mut self) {
        self.roster.set(self.number, None);
        self.old = self.place.take().or(self.old.take());
    }

    fn forget(&mut self) {
        self.lose_place();
        self.id = Arc::default();
    }

    async fn join(&mut self) -> Result<(), Trouble> {
        let protocol = |name: &str| JoinGroupRequestProtocol { name: name.into(), ..Default::default() };
        let request = JoinGroupRequest {
            group_id: self.client.group.clone(),
            session_timeout_ms: self.session_ms as i32,
            rebalance_timeout_ms: self.rebalance_ms as i32,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: PROTOCOL_TYPE.into(),
            protocols: vec![protocol("range"), protocol("sticky")],
            ..Default::default()
        };
        let asked = self.client.site.history.at();
        let joined = self.client.call(&request, self.dialect.join).await?;
        if joined.error_code == ErrorCode::MemberIdRequired.code() {
            self.id = joined.member_id.clone();
        }
        self.client.outcome(joined.error_code)?;
        self.id = joined.member_id.clone();
        let (member, generation) = (self.name(), joined.generation_id);
        self.client.site.history.note_group(GroupEvent::Joined { asked, member, generation });
        self.sync(&joined).await
    }

    async fn sync(&mut self, joined: &JoinGroupResponse) -> Result<(), Trouble> {
        let generation = joined.generation_id;
        let must_assign = joined.leader == self.id && !joined.skip_assignment;
        let request = SyncGroupRequest {
            group_id: self.client.group.clone(),
            generation_id: generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            protocol_type: Some(PROTOCOL_TYPE.into()),
            protocol_name: joined.protocol_name.clone(),
            assignments: if must_assign { self.assign(joined) } else { Vec::new() },
            ..Default::default()
        };
        let asked = self.client.site.history.at();
        let synced = self.client.call(&request, self.dialect.sync).await?;
        self.client.outcome(synced.error_code)?;
        let Some(logs) = self.read_share(&synced.assignment) else {
            self.client.site.broken(format!("{} was given {:?}", self.name().id, synced.assignment));
            return Ok(());
        };
        let (member, owned) = (self.name(), logs.clone());
        self.client.site.history.note_group(GroupEvent::Synced { asked, member, generation, owned });
        let place = Place { generation, logs };
        self.roster.set(self.number, Some(place.clone()));
        self.place = Some(place);
        Ok(())
    }

    /// Deals out the logs, as the leader.
    fn assign(&self, joined: &JoinGroupResponse) -> Vec<SyncGroupRequestAssignment> {
        let Site { dice, history, .. } = &self.client.site;
        let mut shares = vec![Vec::new(); joined.members.len()];
        if shares.is_empty() {
            self.client.site.broken(format!("{} leads and is told of nobody", self.name().id));
            return Vec::new();
        }
        let first = dice.within(0..=shares.len() as u64 - 1) as usize;
        for (place, log) in self.client.logs().into_iter().enumerate() {
            let at = (first + place) % shares.len();
            shares[at].push(log);
        }
        history.note_group(GroupEvent::Assigned {
            group: self.client.group.clone(),
            generation: joined.generation_id,
            shares: shares.clone(),
        });
        let assignments = joined.members.iter().zip(&shares).map(|(member, logs)| SyncGroupRequestAssignment {
            member_id: member.member_id.clone(),
            assignment: self.write_share(logs).into(),
            ..Default::default()
        });
        assignments.collect()
    }

    /// For each log two bytes: which of the topics, and the partition.
    fn write_share(&self, logs: &[LogId]) -> Vec<u8> {
        let topic = |log: &LogId| self.client.topics.iter().position(|topic| topic.name.id == log.topic);
        logs.iter().flat_map(|log| [topic(log).unwrap_or(usize::MAX) as u8, log.partition as u8]).collect()
    }

    fn read_share(&self, share: &[u8]) -> Option<Vec<LogId>> {
        let log = |pair: &[u8]| match *pair {
            [topic, partition] => {
                let topic = self.client.topics.get(usize::from(topic))?.name.id;
                Some(LogId { topic, partition: partition.into() })
            }
            _ => None,
        };
        share.chunks(2).map(log).collect()
    }

    async fn beat(&mut self, place: &Place) -> Result<(), Trouble> {
        let request = HeartbeatRequest {
            group_id: self.client.group.clone(),
            generation_id: place.generation,
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            ..Default::default()
        };
        let response = self.client.call(&request, self.dialect.heartbeat).await?;
        self.client.outcome(response.error_code)
    }

    async fn commit(&mut self, place: &Place) -> Result<(), Trouble> {
        let by = Committer {
            version: self.dialect.commit,
            generation: place.generation,
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
        };
        let offsets: Vec<_> = place.logs.iter().map(|log| (*log, self.next_offset)).collect();
        self.next_offset += 1;
        self.client.commit(&by, &offsets).await
    }

    /// Says that it goes, if it is there. A static one will come back under its name.
    async fn leave(&mut self) {
        let identity = MemberIdentity {
            member_id: self.id.clone(),
            group_instance_id: self.instance_id.clone(),
            ..Default::default()
        };
        let request = LeaveGroupRequest {
            group_id: self.client.group.clone(),
            member_id: self.id.clone(),
            members: vec![identity],
            ..Default::default()
        };
        if !self.id.is_empty() && self.client.site.dice.one_in(2) {
            // Whatever the answer is, it does not think that it is a member any more.
            let _ = self.client.call(&request, self.dialect.leave).await;
        }
        self.forget();
    }

    fn name(&self) -> Member {
        let id = self.instance_id.clone().unwrap_or_else(|| self.id.clone());
        Member { group: self.client.group.clone(), id }
    }
}
