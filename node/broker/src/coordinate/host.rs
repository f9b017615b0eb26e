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
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use ottla_machine::{At, Batch, Load, Machine, Output, OutputOf, Shard, Waiter};
use ottla_partition::Acks;
use ottla_records::{BatchBuilder, BatchHeader, BatchOptions, NewRecord};
use ottla_rt::{Lane, Rt, Stop};
use ottla_storage::Reader;
use tokio::sync::{Notify, oneshot};

use crate::appended::Appended;
use crate::partition::{self, Partition};
use crate::produced::Outcome;
use crate::reading::{ReadingError, each_record};

/// Before a log that could not be loaded is read again.
const RELOAD_PAUSE: Duration = Duration::from_secs(5);
/// Before a log is read again of which records were refused: the next ones may be refused too.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// A machine whose records are those of a topic, and what is needed to make one.
pub trait Hosted: Machine<Effect = Infallible, Hard: Send, Soft: Send, Reply: Send, Record: Send> {
    /// What all shards of the coordinator share.
    type Shared: Debug + Send + Sync;

    fn soft(shared: &Self::Shared) -> Self::Soft;

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
    state: Mutex<State<M>>,
    /// Wakes the task.
    wake: Notify,
}

#[derive(Debug)]
struct State<M: Hosted> {
    phase: Phase<M>,
    /// What a shard that was dropped has owed, in order of the offset that must be committed.
    owed: VecDeque<(i64, OutputOf<M>)>,
    waiting: BTreeMap<Waiter, oneshot::Sender<M::Reply>>,
    next_waiter: u64,
    /// When the task wakes by itself.
    wakes_ms: i64,
}

#[derive(Debug)]
enum Phase<M: Hosted> {
    /// It is being read, or will be at this moment.
    Loading {
        from_ms: i64,
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
    #[error("at offset {offset} there is a batch of a transaction, which is not supported yet")]
    Transaction { offset: i64 },
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
        stop: Stop,
    ) -> Arc<Host<M>> {
        let state = State {
            phase: Phase::Loading { from_ms: i64::MIN },
            owed: VecDeque::new(),
            waiting: BTreeMap::new(),
            next_waiter: 0,
            wakes_ms: i64::MAX,
        };
        let (state, wake) = (Mutex::new(state), Notify::new());
        let host = Arc::new(Host { rt: rt.clone(), partition, appended, shared, state, wake });
        rt.spawn(Lane::Control, "coordinator", host.clone().supervise(stop));
        host
    }

    /// Decides a command, and gives its reply once it can be relied upon.
    pub async fn submit(&self, command: M::Command) -> Result<M::Reply, NoReply> {
        self.decide(command)?.await.map_err(|_| NoReply::GivenUp)
    }

    /// Decides a command whose reply nobody waits for. A machine that is loading does not hear of it: it will find what is
    /// shared as it is then.
    pub fn tell(&self, command: M::Command) {
        drop(self.decide(command));
    }

    fn decide(&self, command: M::Command) -> Result<oneshot::Receiver<M::Reply>, NoReply> {
        if M::writes(&command) && self.partition.refuses_all() {
            return Err(NoReply::GivenUp);
        }
        let mut state = self.state();
        let now = self.rt.now();
        let waiter = Waiter(state.next_waiter);
        state.next_waiter += 1;
        let shard = match &mut state.phase {
            Phase::Running(shard) => shard,
            Phase::Loading { .. } => return Err(NoReply::Loading),
            Phase::Over => return Err(NoReply::GivenUp),
        };
        let batch = shard.submit(now, waiter, command);
        let (sender, receiver) = oneshot::channel();
        state.waiting.insert(waiter, sender);
        self.follow_step(&mut state, batch, now.wall_ms)?;
        Ok(receiver)
    }

    /// Appends what a step has written, lets go what is free, and sees to it that the task wakes in time.
    fn follow_step(&self, state: &mut State<M>, batch: Batch<M::Record>, wall_ms: i64) -> Result<(), NoReply> {
        if !batch.records.is_empty() && !self.append(&batch, wall_ms) {
            state.give_up(self.partition.reader.end().offset, self.rt.mono_ms() + REFUSED_PAUSE.as_millis() as i64);
            self.wake.notify_one();
            return Err(NoReply::GivenUp);
        }
        if let Ok(marks) = self.partition.marks() {
            state.release(marks.high_watermark);
        }
        if let Next::Run { tick_ms, committed } = state.next()
            && (tick_ms < state.wakes_ms || committed.is_some())
        {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Whether the partition has taken the records.
    fn append(&self, batch: &Batch<M::Record>, wall_ms: i64) -> bool {
        let mut builder = BatchBuilder::new(BatchOptions::default());
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
        let after = self.partition.append(&mut batches, &bytes, &mut Vec::new(), &mut outcomes);
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
        loop {
            let next = {
                let mut state = self.state();
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
            tokio::select! {
                biased;
                () = stop.told() => self.end(),
                () = self.wake.notified() => {}
                () = self.committed(committed) => {}
                () = self.rt.sleep_until(at_ms) => self.tick(),
            }
        }
    }

    /// Until the high watermark has come there, or never will.
    async fn committed(&self, offset: Option<i64>) {
        let Some(offset) = offset else { return std::future::pending().await };
        let kept = self.partition.kept(Acks::All, offset).await;
        let mut state = self.state();
        match (kept, self.partition.marks()) {
            (Ok(()), Ok(marks)) => state.release(marks.high_watermark),
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
            let _ = self.follow_step(&mut state, batch, now.wall_ms);
        }
    }

    async fn load(&self) {
        let reader = self.partition.reader.clone();
        let began_ms = self.rt.mono_ms();
        let loaded = self.rt.blocking(move || load(&reader)).await;
        let mut state = self.state();
        let now = self.rt.now();
        let (topic, index) = (&self.partition.topic, self.partition.index);
        match loaded {
            Ok((machine, records)) => {
                let end = self.partition.reader.end().offset;
                let (shard, batch) = machine.start(end, M::soft(&self.shared), now);
                state.phase = Phase::Running(shard);
                if records > 0 {
                    tracing::info!(%topic, partition = index, records, ms = now.mono_ms - began_ms, "loaded");
                }
                // Nobody has asked.
                let _ = self.follow_step(&mut state, batch, now.wall_ms);
            }
            Err(error) => {
                tracing::error!(%topic, partition = index, "the coordinator cannot load its log: {error}");
                state.phase = Phase::Loading { from_ms: now.mono_ms + RELOAD_PAUSE.as_millis() as i64 };
            }
        }
    }

    /// Everybody who waits is told that this is not the place any more.
    pub fn end(&self) {
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
    fn next(&self) -> Next {
        match &self.phase {
            Phase::Loading { from_ms } => Next::Load { at_ms: *from_ms },
            Phase::Running(shard) => {
                let owed = self.owed.front().map(|(offset, _)| *offset);
                let tick_ms = shard.deadline().unwrap_or(i64::MAX);
                Next::Run { tick_ms, committed: owed.or(shard.parked_at()) }
            }
            Phase::Over => Next::End,
        }
    }

    fn release(&mut self, high_watermark: i64) {
        let free = self.owed.partition_point(|(offset, _)| *offset <= high_watermark);
        let mut outputs: Vec<_> = self.owed.drain(..free).map(|(_, output)| output).collect();
        if let Phase::Running(shard) = &mut self.phase {
            outputs.extend(shard.high_watermark(high_watermark));
        }
        for output in outputs {
            match output {
                Output::Reply(waiter, reply) => {
                    if let Some(asker) = self.waiting.remove(&waiter) {
                        // An asker that has gone does not want to know.
                        let _ = asker.send(reply);
                    }
                }
                Output::Effect(never) => match never {},
            }
        }
    }

    /// Drops the machine. It will be loaded anew; replies to what lies before `end` of the log are still owed.
    fn give_up(&mut self, end: i64, reload_from_ms: i64) {
        let Phase::Running(shard) = std::mem::replace(&mut self.phase, Phase::Loading { from_ms: reload_from_ms })
        else {
            return;
        };
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

/// The machine as the log says, and how many records that took. Blocks.
fn load<M: Hosted>(reader: &Reader) -> Result<(Load<M>, usize), LoadError> {
    let (mut machine, mut count) = (Load::default(), 0);
    each_record(reader, |header, record| {
        let offset = record.offset;
        if header.attributes.is_control() || header.attributes.is_transactional() {
            return Err(LoadError::Transaction { offset });
        }
        let decoded = M::decode(record.key.unwrap_or_default(), record.value);
        if let Some(record) = decoded.map_err(|cause| LoadError::Record { offset, cause })? {
            machine.replay(At { offset }, &record);
        }
        count += 1;
        Ok(())
    })?;
    Ok((machine, count))
}
