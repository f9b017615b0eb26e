//! A member of a consumer group (KIP-848): says with each heartbeat what is new of it, and is told what to own.
//!
//! What it is to give up it still owns until it has sent a heartbeat without it, which may take it a while. What the
//! coordinator knows of it ends no sooner than its session timeout after it sent the last heartbeat that was answered; what
//! it must give up, no sooner than its rebalance timeout after the first that could have told it so.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ottla_rt::Stop;
use ottla_wire::ErrorCode;
use ottla_wire::messages::consumer_group_heartbeat_request::TopicPartitions;
use ottla_wire::messages::{ConsumerGroupHeartbeatRequest, ConsumerGroupHeartbeatResponse};

use crate::group_client::{Committer, GroupClient, Trouble};
use crate::history::{Epoch, GroupEvent, LogId, Member, Term};
use crate::roster::{Place, Roster};
use crate::site::Site;

/// Say in place of an epoch that the member goes, and that it will be back under its name.
const LEFT: i32 = -1;
const LEFT_FOR_NOW: i32 = -2;
/// First version in which the client makes the member's id, and may subscribe to a pattern.
const OWN_ID_FROM: i16 = 1;
/// Versions of OffsetCommit in which an epoch can be stale.
const COMMIT: &[i16] = &[9, 10];

#[derive(Debug)]
pub struct ConsumerMember {
    client: GroupClient,
    number: usize,
    roster: Roster,
    version: i16,
    instance_id: Option<Arc<str>>,
    by_pattern: bool,
    session_ms: i64,
    rebalance_ms: i64,
    id: Arc<str>,
    /// 0 if it has to join.
    epoch: i32,
    owned: BTreeSet<LogId>,
    /// Those of `owned` that it is to give up.
    revoking: BTreeSet<LogId>,
    /// How many more heartbeats it keeps them for.
    revoking_beats: u64,
    /// The coordinator does not know what this one knows.
    must_tell: bool,
    /// When the first heartbeat since the last answer was sent.
    unanswered_ms: Option<i64>,
    /// When the first heartbeat was sent that can have told it to give something up.
    revoking_ms: Option<i64>,
    next_offset: i64,
}

impl ConsumerMember {
    /// `session_ms` is what the broker says for all groups.
    pub fn new(client: GroupClient, number: usize, roster: Roster, session_ms: u64) -> ConsumerMember {
        let dice = &client.site.dice;
        let version = dice.within(0..=1) as i16;
        let is_static = dice.one_in(4);
        let mut member = ConsumerMember {
            instance_id: is_static.then(|| format!("static-{number}").into()),
            by_pattern: version >= OWN_ID_FROM && dice.one_in(3),
            session_ms: session_ms as i64,
            // No less than the session timeout, or an answer that is lost could end the member sooner than that.
            rebalance_ms: dice.within(session_ms..=session_ms + 2000) as i64,
            client,
            number,
            roster,
            version,
            id: Arc::default(),
            epoch: 0,
            owned: BTreeSet::new(),
            revoking: BTreeSet::new(),
            revoking_beats: 0,
            must_tell: true,
            unanswered_ms: None,
            revoking_ms: None,
            next_offset: 1,
        };
        member.take_new_id();
        member
    }

    /// Until `done` is told. From `calm` on it does nothing that disturbs others.
    pub async fn run(mut self, mut calm: Stop, mut done: Stop) {
        let Site { rt, dice, .. } = self.client.site.clone();
        loop {
            let pause = Duration::from_millis(dice.within(100..=self.session_ms as u64 / 3));
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
            4..6 => rt.sleep(Duration::from_millis(dice.within(0..=2 * self.session_ms as u64))).await,
            6..8 => self.leave().await,
            8 => {
                self.give_up_all();
                self.take_new_id();
            }
            _ => {}
        }
    }

    async fn step(&mut self) -> Result<(), Trouble> {
        match self.client.site.dice.within(0..=9) {
            0..2 if self.epoch > 0 && !self.owned.is_empty() => self.commit().await,
            2 => self.client.read().await,
            _ => self.beat().await,
        }
    }

    fn take_refusal(&mut self, error: ErrorCode) {
        match error {
            ErrorCode::OffsetMetadataTooLarge | ErrorCode::StaleMemberEpoch => {}
            ErrorCode::UnknownMemberId | ErrorCode::FencedMemberEpoch => self.give_up_all(),
            ErrorCode::GroupIdNotFound => {
                self.client.note_unknown();
                self.give_up_all();
            }
            // The one that has its name has been it, and will be taken for dead.
            ErrorCode::UnreleasedInstanceId if self.epoch == 0 => {}
            ErrorCode::FencedInstanceId => {
                self.give_up_all();
                self.take_new_id();
            }
            error => self.client.site.broken(format!("member {} of {}: {error}", self.number, self.client.group)),
        }
    }

    async fn beat(&mut self) -> Result<(), Trouble> {
        let Site { rt, history, dice, .. } = self.client.site.clone();
        if !self.revoking.is_empty() {
            match self.revoking_beats.checked_sub(1) {
                Some(fewer) => self.revoking_beats = fewer,
                None => {
                    self.owned.retain(|log| !self.revoking.contains(log));
                    self.revoking.clear();
                    self.must_tell = true;
                }
            }
        }
        let is_full = self.epoch == 0 || self.must_tell || dice.one_in(10);
        if is_full {
            history.note_group(GroupEvent::Kept { member: self.name(), logs: self.logs() });
        }
        let asked = history.at();
        let sent_ms = rt.now().mono_ms;
        let unanswered_ms = *self.unanswered_ms.get_or_insert(sent_ms);
        self.must_tell = true;
        let request = self.heartbeat(is_full);
        let response = self.client.call(&request, self.version).await?;
        self.client.outcome(response.error_code)?;
        self.unanswered_ms = None;
        self.must_tell = false;
        if let Some(id) = &response.member_id {
            self.id = id.clone();
        }
        let epoch =
            if self.epoch == 0 { Epoch::Joined(response.member_epoch) } else { Epoch::Stayed(response.member_epoch) };
        self.epoch = response.member_epoch;
        let given = self.take_assignment(&response, unanswered_ms);
        let ends = [Some(sent_ms + self.session_ms), self.revoking_ms.map(|ms| ms + self.rebalance_ms)];
        let until_ms = ends.into_iter().flatten().min().unwrap_or(sent_ms);
        let term = Term { now_ms: rt.now().mono_ms, until_ms };
        history.note_group(GroupEvent::Owned { asked, member: self.name(), epoch, given, logs: self.logs(), term });
        let place = Place { generation: self.epoch, logs: self.logs() };
        self.roster.set(self.number, self.revoking.is_empty().then_some(place));
        Ok(())
    }

    /// All there is to say, or only that the member is there.
    fn heartbeat(&self, is_full: bool) -> ConsumerGroupHeartbeatRequest {
        let request = ConsumerGroupHeartbeatRequest {
            group_id: self.client.group.clone(),
            member_id: self.id.clone(),
            member_epoch: self.epoch,
            instance_id: self.instance_id.clone(),
            ..Default::default()
        };
        if !is_full {
            return request;
        }
        let names = || self.client.topics.iter().map(|topic| topic.name.name.as_str().into()).collect();
        let owned = self.client.topics.iter().map(|topic| TopicPartitions {
            topic_id: topic.name.id,
            partitions: topic.logs().filter(|log| self.owned.contains(log)).map(|log| log.partition).collect(),
            ..Default::default()
        });
        ConsumerGroupHeartbeatRequest {
            rebalance_timeout_ms: self.rebalance_ms as i32,
            subscribed_topic_names: (!self.by_pattern).then(names),
            // Topics that come and go have other first letters.
            subscribed_topic_regex: self.by_pattern.then(|| "[sc][.].+".into()),
            topic_partitions: Some(owned.filter(|topic| !topic.partitions.is_empty()).collect()),
            ..request
        }
    }

    /// Gives what the answer gives.
    fn take_assignment(&mut self, response: &ConsumerGroupHeartbeatResponse, asked_ms: i64) -> Vec<LogId> {
        let dice = &self.client.site.dice;
        let Some(assignment) = &response.assignment else { return Vec::new() };
        let logs = assignment.topic_partitions.iter().flat_map(|topic| {
            topic.partitions.iter().map(|partition| LogId { topic: topic.topic_id, partition: *partition })
        });
        let assigned: BTreeSet<LogId> = logs.collect();
        let all = self.client.logs();
        if let Some(stranger) = assigned.iter().find(|log| !all.contains(log)) {
            self.client.site.broken(format!("{} is to own {stranger}", self.name()));
        }
        let revoking: BTreeSet<LogId> = self.owned.difference(&assigned).copied().collect();
        if revoking.is_empty() {
            self.revoking_ms = None;
        } else if self.revoking_ms.is_none() {
            self.revoking_ms = Some(asked_ms);
            self.revoking_beats = dice.pick(&[0, 0, 1, 3]);
        }
        self.must_tell = !revoking.is_empty() || assigned != self.owned;
        self.owned.extend(&assigned);
        self.revoking = revoking;
        assigned.into_iter().collect()
    }

    async fn commit(&mut self) -> Result<(), Trouble> {
        let by = Committer {
            version: self.client.site.dice.pick(COMMIT),
            generation: self.epoch,
            member_id: self.id.clone(),
            instance_id: self.instance_id.clone(),
        };
        let offsets: Vec<_> = self.owned.iter().map(|log| (*log, self.next_offset)).collect();
        self.next_offset += 1;
        self.client.commit(&by, &offsets).await
    }

    /// Says that it goes, or does not.
    async fn leave(&mut self) {
        let dice = self.client.site.dice.clone();
        let epoch = if self.instance_id.is_some() && dice.one_in(2) { LEFT_FOR_NOW } else { LEFT };
        let was_member = self.epoch > 0;
        self.give_up_all();
        if was_member && dice.one_in(2) {
            let request = ConsumerGroupHeartbeatRequest { member_epoch: epoch, ..self.heartbeat(false) };
            // Whatever the answer is, it does not think that it is a member any more.
            let _ = self.client.call(&request, self.version).await;
        }
        self.take_new_id();
    }

    fn give_up_all(&mut self) {
        self.client.site.history.note_group(GroupEvent::Kept { member: self.name(), logs: Vec::new() });
        self.roster.set(self.number, None);
        self.epoch = 0;
        self.owned.clear();
        self.revoking.clear();
        self.revoking_ms = None;
        self.unanswered_ms = None;
    }

    fn take_new_id(&mut self) {
        self.id = match self.version {
            OWN_ID_FROM.. => self.client.site.rt.random_uuid().to_string().into(),
            _ => Arc::default(),
        };
    }

    fn logs(&self) -> Vec<LogId> {
        self.owned.iter().copied().collect()
    }

    fn name(&self) -> Member {
        let id = self.instance_id.clone().unwrap_or_else(|| self.id.clone());
        Member { group: self.client.group.clone(), id }
    }
}
