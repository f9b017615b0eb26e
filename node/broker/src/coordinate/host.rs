//! A coordinator's machine on its partition.
//!
//! A command is decided, its records are appended and the asker is parked, all in one go and in the order of arrival. Its
//! reply leaves when the partition's high watermark has passed the records: at once where what is appended counts as kept,
//! and otherwise when the shard's task sees it move. The task also loads the machine, and wakes it when time is due.
//!
//! Lock order: the shard, then the partition.
//!
//! If the partition refuses records, or a bug ends a decision, the machine's state is ahead of the log: the machine is
//! dropped and loaded anew. Replies to what is in the log leave all the same. Everybody else who waits is told to ask again.

use std::collections::{BTreeMap, VecDeque};
use std::convert::Infallible;
use std::error::Error;
use std::fmt::Debug;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ottla_base::TxnOutcome;
use ottla_machine::{At, Batch, Load, Machine, Output, OutputOf, Shard, Waiter};
use ottla_partition::Acks;
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, Codec, NewRecord, Record};
use ottla_rt::{Lane, Rt, Stop};
use tokio::sync::{Notify, oneshot};

use crate::appended::Appended;
use crate::metrics::coordinators::Coordinators;
use crate::partition::{self, Partition};
use crate::produced::Outcome;
use crate::reading::{Reading, ReadingError};
use crate::transactions;

/// Before a log that could not be loaded is read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(5);
/// Before a log is read again of which records were refused: the next ones may be refused too.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// A machine whose records are those of a topic, and what is needed to make one.
pub trait Hosted: Machine<Effect = Infallible, Hard: Send, Soft: Send, Reply: Send, Record: Send> {
    /// What all shards of the coordinator share.
    type Shared: Debug + Send + Sync;

    /// How much there has been to hear of. What is shared may change at any time: a machine is told before it decides the
    /// next command, so whoever changes it waits for no machine.
    fn version(shared: &Self::Shared) -> u64;

    /// The commands that tell a machine of everything since this version, and the version that it knows then.
    fn news(shared: &Self::Shared, since: u64) -> (u64, Vec<Self::Command>);

    /// What a machine that is loaded begins with, and the version that it knows.
    fn soft(shared: &Self::Shared) -> (u64, Self::Soft);

    /// How long records may take to be committed.
    fn commit_limit_ms(shared: &Self::Shared) -> i64;

    /// Bytes of the log that are read at a time when it is loaded.
    fn load_bytes(shared: &Self::Shared) -> u64;

    /// How records are packed in the log.
    fn codec(shared: &Self::Shared) -> Codec;

    /// Whether the command, as a rule, writes records. It is refused while the log takes none; a step that cannot write what
    /// it has decided costs the whole machine.
    fn writes(command: &Self::Command) -> bool;

    fn encode(record: &Self::Record) -> (Vec<u8>, Option<Vec<u8>>);

    /// `None` is a record that means nothing to this version, and may be skipped.
    fn decode(key: &[u8], value: Option<&[u8]>) -> Result<Option<Self::Record>, Box<dyn Error + Send + Sync>>;
}

/// Why a command has no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoReply {
    /// The machine is being loaded; it can be asked soon.
    Loading,
    /// The log did not take the records, or the shard was given up while its asker waited. Perhaps somebody else answers.
    GivenUp,
}

#[derive(Debug)]
pub struct Host<M: Hosted> {
    rt: Rt,
    pub partition: Arc<Partition>,
    appended: Appended,
    shared: Arc<M::Shared>,
    times: Arc<Coordinators>,
    state: Mutex<State<M>>,
    /// Wakes the task.
    wake: Notify,
    /// The partition is no longer led here.
    is_over: AtomicBool,
}

#[derive(Debug)]
struct State<M: Hosted> {
    phase: Phase<M>,
    /// What a shard that was dropped has owed, in order of the offset that must be committed.
    owed: VecDeque<(i64, OutputOf<M>)>,
    waiting: BTreeMap<Waiter, oneshot::Sender<M::Reply>>,
    next_waiter: u64,
    /// The version of what is shared that the machine knows.
    heard: u64,
    /// When the task wakes by itself.
    wakes_ms: i64,
    /// The log could not be loaded the last time.
    cannot_load: bool,
}

/// How a coordinator is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    Loading,
    Active,
    /// Its log could not be read, and is tried again.
    Failed,
}

#[derive(Debug)]
enum Phase<M: Hosted> {
    /// It is being read, or will be at this moment.
    Loading {
        from_ms: i64,
    },
    /// It could not be read, and will be tried again at this moment.
    Unreadable {
        again_ms: i64,
    },
    Running(Shard<M>),
    /// The partition is no longer led here, or the broker stops.
    Over,
}

/// Why a log cannot be loaded.
#[derive(Debug, thiserror::Error)]
enum LoadError {
    #[error(transparent)]
    Reading(#[from] ReadingError),
    #[error("at offset {offset}: {cause}")]
    Record { offset: i64, cause: Box<dyn Error + Send + Sync> },
}

/// What the log says at an offset.
#[derive(Debug)]
enum Entry<R> {
    Record(R),
    /// Of a transaction.
    Pending {
        producer_id: i64,
        record: R,
    },
    Marker {
        producer_id: i64,
        outcome: TxnOutcome,
    },
}

/// The reply to a command, or where it will come.
#[derive(Debug)]
enum Decided<M: Machine> {
    Reply(M::Reply),
    Later(oneshot::Receiver<M::Reply>),
}

/// What the task waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Load {
        at_ms: i64,
    },
    Run {
        tick_ms: i64,
        /// Somebody waits for the high watermark to come here.
        committed: Option<i64>,
    },
    End,
}

impl<M: Hosted> Host<M> {
    /// Begins to load the machine. It runs until [`Host::end`] or `stop`.
    pub fn start(
        rt: &Rt,
        partition: Arc<Partition>,
        appended: Appended,
        shared: Arc<M::Shared>,
        times: Arc<Coordinators>,
        stop: Stop,
    ) -> Arc<Host<M>> {
        let state = State {
            phase: Phase::Loading { from_ms: i64::MIN },
            owed: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_waiter: 0,
            heard: 0,
            wakes_ms: i64::MAX,
            cannot_load: false,
        };
        let (state, wake) = (Mutex::new(state), Notify::new());
        let is_over = AtomicBool::new(false);
        let host = Arc::new(Host { rt: rt.clone(), partition, appended, shared, times, state, wake, is_over });
        rt.spawn(Lane::Control, "coordinator", host.clone().supervise(stop));
        host
    }

    /// Decides a command, and gives its reply once it can be relied upon.
    pub async fn submit(&self, command: M::Command) -> Result<M::Reply, NoReply> {
        let began_us = self.rt.mono_us();
        let decided = self.decide(command);
        self.times.commands_us.took(began_us, self.rt.mono_us());
        match decided? {
            Decided::Reply(reply) => Ok(reply),
            Decided::Later(reply) => reply.await.map_err(|_| NoReply::GivenUp),
        }
    }

    /// Looks at the machine, if it is loaded; what it shows may not be committed yet.
    pub fn look<T>(&self, look: impl FnOnce(&M::Hard, &M::Soft) -> T) -> Option<T> {
        match &self.state().phase {
            Phase::Running(shard) => Some(look(shard.hard(), shard.soft())),
            Phase::Loading { .. } | Phase::Unreadable { .. } | Phase::Over => None,
        }
    }

    /// `None` if the partition is no longer led here.
    pub fn condition(&self) -> Option<Condition> {
        match &self.state().phase {
            Phase::Loading { .. } => Some(Condition::Loading),
            Phase::Unreadable { .. } => Some(Condition::Failed),
            Phase::Running(_) => Some(Condition::Active),
            Phase::Over => None,
        }
    }

    /// Has the machine hear of what is shared soon, even if nobody asks it anything.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    fn decide(&self, command: M::Command) -> Result<Decided<M>, NoReply> {
        if M::writes(&command) && self.partition.refuses_all() {
            return Err(NoReply::GivenUp);
        }
        if self.is_over.load(Ordering::Relaxed) {
            return Err(NoReply::GivenUp);
        }
        let mut state = self.state();
        self.hear(&mut state)?;
        let now = self.rt.now();
        let waiter = state.next_waiter();
        let shard = match &mut state.phase {
            Phase::Running(shard) => shard,
            Phase::Loading { .. } => return Err(NoReply::Loading),
            Phase::Unreadable { .. } | Phase::Over => return Err(NoReply::GivenUp),
        };
        let batch = shard.submit(now, waiter, command);
        if let Some(reply) = self.follow_step(&mut state, batch, now.wall_ms, Some(waiter))? {
            return Ok(Decided::Reply(reply));
        }
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(waiter, sender);
        Ok(Decided::Later(receiver))
    }

    /// Tells the machine what it has not heard of yet.
    fn hear(&self, state: &mut State<M>) -> Result<(), NoReply> {
        if state.heard == M::version(&self.shared) {
            return Ok(());
        }
        let news;
        (state.heard, news) = M::news(&self.shared, state.heard);
        for command in news {
            let (now, waiter) = (self.rt.now(), state.next_waiter());
            let Phase::Running(shard) = &mut state.phase else { return Ok(()) };
            let batch = shard.submit(now, waiter, command);
            self.follow_step(state, batch, now.wall_ms, Some(waiter))?;
        }
        Ok(())
    }

    /// Appends what a step has written, lets go what is free, and sees to it that the task wakes in time. Gives the reply to
    /// the asker, if it is free already.
    fn follow_step(
        &self,
        state: &mut State<M>,
        batch: Batch<M::Record>,
        wall_ms: i64,
        asker: Option<Waiter>,
    ) -> Result<Option<M::Reply>, NoReply> {
        if !batch.records.is_empty() && !self.append(&batch, wall_ms) {
            state.give_up(self.partition.reader.end().offset, self.rt.mono_ms() + REFUSED_PAUSE.as_millis() as i64);
            self.wake.notify_one();
            return Err(NoReply::GivenUp);
        }
        let reply = self.partition.marks().ok().and_then(|marks| state.release(marks.high_watermark, asker));
        if let Next::Run { tick_ms, committed } = state.next()
            && (tick_ms < state.wakes_ms || committed.is_some())
        {
            self.wake.notify_one();
        }
        Ok(reply)
    }

    /// Whether the partition has taken the records.
    fn append(&self, batch: &Batch<M::Record>, wall_ms: i64) -> bool {
        let attributes = Attributes::default().with_codec(M::codec(&self.shared));
        let mut builder = BatchBuilder::new(BatchOptions { attributes, ..BatchOptions::default() });
        for record in &batch.records {
            let (key, value) = M::encode(record);
            let (key, value) = (Some(key.as_slice()), value.as_deref());
            builder.push(&NewRecord { timestamp: wall_ms, key, value, ..NewRecord::default() });
        }
        let bytes = builder.finish();
        let mut batches = [partition::Batch {
            partition: self.partition.clone(),
            acks: Acks::All,
            header: BatchHeader::parse(&bytes).expect("the batch was just built"),
            stamp: None,
            bytes: 0..bytes.len(),
            outcome: 0,
        }];
        let mut outcomes = [Outcome::pending()];
        let began_us = self.rt.mono_us();
        let after = self.partition.append(&mut batches, &bytes, &mut Vec::new(), &mut outcomes);
        self.times.appends_us.took(began_us, self.rt.mono_us());
        self.appended.follow_up(&self.partition, after);
        let stored_at = outcomes[0].base_offset();
        assert!(
            stored_at.is_none_or(|offset| offset == batch.base_offset),
            "records of offset {} went to {stored_at:?}: somebody else writes to the log of a coordinator",
            batch.base_offset
        );
        stored_at.is_some()
    }

    /// A bug in the task ends the task alone: it is begun again, and with the lock poisoned it loads the machine anew.
    async fn supervise(self: Arc<Self>, stop: Stop) {
        while self.rt.spawn(Lane::Data, "shard", self.clone().run(stop.clone())).await.is_err() {
            self.rt.sleep(REFUSED_PAUSE).await;
        }
    }

    async fn run(self: Arc<Self>, mut stop: Stop) {
        // What is to be committed next, and until when.
        let mut due: Option<(i64, i64)> = None;
        loop {
            if self.is_over.load(Ordering::Relaxed) {
                self.give_way();
            }
            let next = {
                let mut state = self.state();
                // Where that fails the machine is loaded again, and nobody has asked.
                let _ = self.hear(&mut state);
                let next = state.next();
                state.wakes_ms = match next {
                    Next::Run { tick_ms, .. } => tick_ms,
                    Next::Load { .. } | Next::End => i64::MAX,
                };
                next
            };
            let (at_ms, committed) = match next {
                Next::Load { at_ms } if at_ms <= self.rt.mono_ms() => {
                    self.load().await;
                    continue;
                }
                Next::Load { at_ms } => (at_ms, None),
                Next::Run { tick_ms, committed } => (tick_ms, committed),
                Next::End => return,
            };
            let limit_ms = || self.rt.mono_ms() + M::commit_limit_ms(&self.shared);
            due = committed.map(|offset| due.filter(|due| due.0 == offset).unwrap_or_else(|| (offset, limit_ms())));
            tokio::select! {
                biased;
                () = stop.told() => self.give_way(),
                () = self.wake.notified() => {}
                () = self.committed(due) => {}
                () = self.rt.sleep_until(at_ms) => self.tick(),
            }
        }
    }

    /// Until the high watermark has come there, or never will, or not in time.
    async fn committed(&self, due: Option<(i64, i64)>) {
        let Some((offset, until_ms)) = due else { return std::future::pending().await };
        let kept = tokio::select! {
            biased;
            kept = self.partition.kept(Acks::All, offset) => kept.map_err(drop),
            () = self.rt.sleep_until(until_ms) => Err(()),
        };
        let mut state = self.state();
        match (kept, self.partition.marks()) {
            (Ok(()), Ok(marks)) => drop(state.release(marks.high_watermark, None)),
            // The records are in the log, and may be lost with it: nobody is told that they are kept.
            _ => state.give_up(i64::MIN, self.rt.mono_ms() + RELOAD_PAUSE.as_millis() as i64),
        }
    }

    fn tick(&self) {
        let mut state = self.state();
        let now = self.rt.now();
        if let Phase::Running(shard) = &mut state.phase
            && shard.deadline().is_some_and(|deadline_ms| deadline_ms <= now.mono_ms)
        {
            let batch = shard.tick(now);
            // Nobody has asked.
            let _ = self.follow_step(&mut state, batch, now.wall_ms, None);
        }
    }

    async fn load(&self) {
        let began_ms = self.rt.mono_ms();
        let loaded = self.read_all().await;
        let mut state = self.state();
        let now = self.rt.now();
        let (topic, index) = (&self.partition.topic, self.partition.index);
        match loaded {
            // It has ended meanwhile.
            _ if matches!(state.phase, Phase::Over) => {}
            Ok((machine, records)) => {
                let end = self.partition.reader.end().offset;
                let (heard, soft) = M::soft(&self.shared);
                let (shard, batch) = machine.start(end, soft, now);
                state.heard = heard;
                state.cannot_load = false;
                state.phase = Phase::Running(shard);
                let took_ms = u64::try_from(now.mono_ms - began_ms).unwrap_or(0);
                self.times.loads_ms.record(took_ms, self.rt.mono_us());
                if records > 0 {
                    tracing::info!(%topic, partition = index, records, ms = took_ms, "loaded");
                }
                // Nobody has asked.
                let _ = self.follow_step(&mut state, batch, now.wall_ms, None);
            }
            Err(error) => {
                if !std::mem::replace(&mut state.cannot_load, true) {
                    tracing::error!(
                        %topic, partition = index, "the coordinator cannot load its log, which is tried again: {error}"
                    );
                }
                state.phase = Phase::Unreadable { again_ms: now.mono_ms + RELOAD_PAUSE.as_millis() as i64 };
            }
        }
    }

    /// The machine as the log says, and how many records that took. While some records are replayed, the next are read: both
    /// cost about the same, and each is done by a thread that may block.
    async fn read_all(&self) -> Result<(Load<M>, usize), LoadError> {
        let (mut machine, mut count) = (Load::<M>::default(), 0);
        let mut reading = Reading::of(&self.partition.reader, M::load_bytes(&self.shared));
        let mut read = Vec::new();
        loop {
            count += read.len();
            let replay = self.rt.blocking(move || {
                for (offset, entry) in read {
                    match (At { offset }, entry) {
                        (at, Entry::Record(record)) => machine.replay(at, &record),
                        (at, Entry::Pending { producer_id, record }) => {
                            machine.replay_pending(at, producer_id, &record)
                        }
                        (at, Entry::Marker { producer_id, outcome }) => machine.replay_marker(at, producer_id, outcome),
                    }
                }
                machine
            });
            let read_on = self.rt.blocking(move || {
                let mut records = Vec::new();
                let more = reading.some(&mut |header, record| decode::<M>(header, record, &mut records));
                more.map(|more| (reading, records, more))
            });
            let (replayed, read_on) = tokio::join!(biased; replay, read_on);
            machine = replayed;
            let more;
            (reading, read, more) = read_on?;
            if !more {
                return Ok((machine, count));
            }
        }
    }

    /// The partition is no longer led here. Does not wait for what is being written.
    pub fn end(&self) {
        self.is_over.store(true, Ordering::Relaxed);
        self.wake.notify_one();
    }

    /// Everybody who waits is told that this is not the place any more.
    fn give_way(&self) {
        let mut state = self.state();
        state.phase = Phase::Over;
        state.owed.clear();
        state.waiting.clear();
        self.wake.notify_one();
    }

    /// A panic in a decision leaves the machine's state half changed: it is dropped, the log is whole.
    fn state(&self) -> MutexGuard<'_, State<M>> {
        self.state.lock().unwrap_or_else(|poisoned| {
            let mut state = poisoned.into_inner();
            state.give_up(self.partition.reader.end().offset, i64::MIN);
            self.state.clear_poison();
            self.wake.notify_one();
            state
        })
    }
}

impl<M: Hosted> State<M> {
    fn next_waiter(&mut self) -> Waiter {
        self.next_waiter += 1;
        Waiter(self.next_waiter)
    }

    fn next(&self) -> Next {
        match &self.phase {
            Phase::Loading { from_ms: at_ms } | Phase::Unreadable { again_ms: at_ms } => Next::Load { at_ms: *at_ms },
            Phase::Running(shard) => {
                let owed = self.owed.front().map(|(offset, _)| *offset);
                let tick_ms = shard.deadline().unwrap_or(i64::MAX);
                Next::Run { tick_ms, committed: owed.or(shard.parked_at()) }
            }
            Phase::Over => Next::End,
        }
    }

    /// Lets go what is committed. The reply to `asker`, who has not begun to wait yet, is given back.
    fn release(&mut self, high_watermark: i64, asker: Option<Waiter>) -> Option<M::Reply> {
        let mut to_asker = None;
        let free = self.owed.partition_point(|(offset, _)| *offset <= high_watermark);
        let mut outputs: Vec<_> = self.owed.drain(..free).map(|(_, output)| output).collect();
        if let Phase::Running(shard) = &mut self.phase {
            outputs.extend(shard.high_watermark(high_watermark));
        }
        for output in outputs {
            match output {
                Output::Reply(waiter, reply) if Some(waiter) == asker => to_asker = Some(reply),
                Output::Reply(waiter, reply) => {
                    if let Some(asker) = self.waiting.remove(&waiter) {
                        // An asker that has gone does not want to know.
                        let _ = asker.send(reply);
                    }
                }
                Output::Effect(never) => match never {},
            }
        }
        to_asker
    }

    /// Drops the machine. It will be loaded anew; replies to what lies before `end` of the log are still owed.
    fn give_up(&mut self, end: i64, reload_from_ms: i64) {
        if !matches!(self.phase, Phase::Running(_)) {
            return;
        }
        let before = std::mem::replace(&mut self.phase, Phase::Loading { from_ms: reload_from_ms });
        let Phase::Running(shard) = before else { unreachable!("it was running") };
        self.owed.extend(shard.into_parked());
        self.owed.retain(|(offset, _)| *offset <= end);
        let owed = self.owed.iter().map(|(_, output)| match output {
            Output::Reply(waiter, _) => *waiter,
            Output::Effect(never) => match *never {},
        });
        let mut waiting = std::mem::take(&mut self.waiting);
        self.waiting = owed.filter_map(|waiter| waiting.remove_entry(&waiter)).collect();
    }
}

/// Appends what the record says to `entries`, if it says anything.
fn decode<M: Hosted>(
    header: &BatchHeader,
    record: &Record<'_>,
    entries: &mut Vec<(i64, Entry<M::Record>)>,
) -> Result<(), LoadError> {
    let (offset, producer_id) = (record.offset, header.producer_id);
    if header.attributes.is_control() {
        let outcome = transactions::outcome(record);
        entries.extend(outcome.map(|outcome| (offset, Entry::Marker { producer_id, outcome })));
        return Ok(());
    }
    let decoded = M::decode(record.key.unwrap_or_default(), record.value);
    let decoded = decoded.map_err(|cause| LoadError::Record { offset, cause })?;
    entries.extend(decoded.map(|record| match header.attributes.is_transactional() {
        true => (offset, Entry::Pending { producer_id, record }),
        false => (offset, Entry::Record(record)),
    }));
    Ok(())
}
