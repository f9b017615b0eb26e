//! A machine on its log: state, next offset, and what waits for the high watermark.
//!
//! `Hard` runs ahead of the log between the moment a batch is decided and the moment it is committed. That is what lets
//! commands be decided one after another without waiting for the disk, and why nobody outside may hear of it: replies and
//! effects are parked at the offset that follows their batch. A step that writes nothing is parked all the same, behind
//! what earlier steps wrote; so a read sees only what cannot be lost. If the host cannot append a batch, it must drop
//! the shard, as `Hard` then holds what the log never will.

use std::collections::VecDeque;

use ottla_base::{Now, TxnOutcome};

use crate::{At, Ledger, Machine, Step, Waiter};

/// A running machine.
#[derive(Debug)]
pub struct Shard<M: Machine> {
    hard: M::Hard,
    soft: M::Soft,
    next_offset: i64,
    high_watermark: i64,
    /// In order of the offset that the high watermark must reach.
    parked: VecDeque<(i64, OutputOf<M>)>,
}

impl<M: Machine> Shard<M> {
    /// Decides one command. The host appends the batch at its base offset, whole or not at all.
    pub fn submit(&mut self, now: Now, asker: Waiter, command: M::Command) -> Batch<M::Record> {
        self.step(now, |step| M::decide(step, asker, command))
    }

    /// Does what is due. The host appends the batch as it does that of a command.
    pub fn tick(&mut self, now: Now) -> Batch<M::Record> {
        self.step(now, |step| M::expire(step))
    }

    /// When [`Shard::tick`] has something to do, in [`Now::mono_ms`]. Any step may move it.
    pub fn deadline(&self) -> Option<i64> {
        M::deadline(&self.soft)
    }

    fn step(&mut self, now: Now, decide: impl FnOnce(&mut Step<'_, M>)) -> Batch<M::Record> {
        let base_offset = self.next_offset;
        let log = Ledger { hard: &mut self.hard, next_offset: base_offset, records: Vec::new() };
        let mut step = Step { log, soft: &mut self.soft, now, outputs: Vec::new() };
        decide(&mut step);
        let Step { log: Ledger { next_offset, records, .. }, outputs, .. } = step;
        self.next_offset = next_offset;
        self.parked.extend(outputs.into_iter().map(|output| (next_offset, output)));
        Batch { base_offset, records }
    }

    /// Takes note of the log's high watermark and gives back, in order, what it sets free. A value below an earlier one is
    /// that of a caller who was overtaken, and changes nothing. Called after each step too: what it did may be free already.
    pub fn high_watermark(&mut self, high_watermark: i64) -> Vec<OutputOf<M>> {
        assert!(
            high_watermark <= self.next_offset,
            "high watermark {high_watermark} is above the end {} of the log",
            self.next_offset
        );
        self.high_watermark = self.high_watermark.max(high_watermark);
        let free = self.parked.partition_point(|(offset, _)| *offset <= self.high_watermark);
        self.parked.drain(..free).map(|(_, output)| output).collect()
    }

    /// What the high watermark must reach before anything else is set free. `None` if nothing waits for it.
    pub fn parked_at(&self) -> Option<i64> {
        self.parked.front().map(|(offset, _)| *offset)
    }

    pub fn hard(&self) -> &M::Hard {
        &self.hard
    }

    pub fn soft(&self) -> &M::Soft {
        &self.soft
    }

    /// Ends it. Gives what still waits, each with the offset that the high watermark must reach: a host that drops a shard
    /// whose last batch could not be appended still owes what was parked behind the batches before.
    pub fn into_parked(self) -> VecDeque<(i64, OutputOf<M>)> {
        self.parked
    }
}

/// A machine that is being loaded, record by record as the host reads its log.
#[derive(Debug)]
pub struct Load<M: Machine> {
    hard: M::Hard,
    next_offset: i64,
}

impl<M: Machine> Default for Load<M> {
    fn default() -> Self {
        Load { hard: M::Hard::default(), next_offset: 0 }
    }
}

impl<M: Machine> Load<M> {
    /// Goes on from what was made of everything before `next_offset`.
    pub fn of(hard: M::Hard, next_offset: i64) -> Load<M> {
        Load { hard, next_offset }
    }

    /// Replays one record of the log. Offsets rise, with gaps where control records stand.
    pub fn replay(&mut self, at: At, record: &M::Record) {
        self.pass(at);
        M::replay(&mut self.hard, at, record);
    }

    /// The same for a record that the producer wrote in a transaction.
    pub fn replay_pending(&mut self, at: At, producer_id: i64, record: &M::Record) {
        self.pass(at);
        M::replay_pending(&mut self.hard, at, producer_id, record);
    }

    /// A marker that ends the producer's transaction.
    pub fn replay_marker(&mut self, at: At, producer_id: i64, outcome: TxnOutcome) {
        self.pass(at);
        M::replay_marker(&mut self.hard, producer_id, outcome);
    }

    fn pass(&mut self, at: At) {
        assert!(at.offset >= self.next_offset, "offset {} comes after {}", at.offset, self.next_offset);
        self.next_offset = at.offset + 1;
    }

    /// The running machine of which nothing is asked when it is loaded. Its first batch goes to `end_offset`, the end of
    /// the log that was read.
    pub fn finish(self, end_offset: i64) -> Shard<M>
    where
        M::Soft: Default,
    {
        self.shard(end_offset, M::Soft::default())
    }

    /// The running machine, and the batch of its first step, which the host appends at `end_offset`, the end of the log
    /// that was read.
    pub fn start(self, end_offset: i64, soft: M::Soft, now: Now) -> (Shard<M>, Batch<M::Record>) {
        let mut shard = self.shard(end_offset, soft);
        let batch = shard.step(now, M::loaded);
        (shard, batch)
    }

    fn shard(self, end_offset: i64, soft: M::Soft) -> Shard<M> {
        assert!(end_offset >= self.next_offset, "the log ends at {end_offset}, before {}", self.next_offset);
        Shard { hard: self.hard, soft, next_offset: end_offset, high_watermark: 0, parked: VecDeque::new() }
    }
}

/// The records of one step, which become one batch of the log; none if the step only read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch<R> {
    pub base_offset: i64,
    pub records: Vec<R>,
}

/// What a step gives to the outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output<Reply, Effect> {
    Reply(Waiter, Reply),
    Effect(Effect),
}

/// The [`Output`] of a machine.
pub type OutputOf<M> = Output<<M as Machine>::Reply, <M as Machine>::Effect>;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Timers;
    use proptest::prelude::*;

    /// A counter of counters: adds, answers the sum, and makes somebody pause at every hundred. `Parked` askers are answered
    /// by the next `Wake`.
    #[derive(Debug)]
    struct Counter;

    #[derive(Debug, Default, PartialEq)]
    struct Sum {
        sum: i64,
        last_offset: i64,
        records: i64,
    }

    #[derive(Clone, Debug)]
    enum Command {
        Add(Vec<i64>),
        Read,
        Park,
        Wake,
    }

    impl Machine for Counter {
        type Hard = Sum;
        type Soft = Vec<Waiter>;
        type Command = Command;
        type Record = i64;
        type Reply = i64;
        type Effect = &'static str;

        fn decide(step: &mut Step<'_, Self>, asker: Waiter, command: Command) {
            match command {
                Command::Add(numbers) => {
                    for n in numbers {
                        step.log.write(n);
                        if step.log.sum % 100 == 0 {
                            step.effect("hundred");
                        }
                    }
                    step.reply(asker, step.log.sum);
                }
                Command::Read => step.reply(asker, step.log.sum),
                Command::Park => step.soft.push(asker),
                Command::Wake => {
                    for waiter in std::mem::take(step.soft) {
                        step.reply(waiter, step.now.mono_ms);
                    }
                }
            }
        }

        fn replay(hard: &mut Sum, at: At, record: &i64) {
            hard.sum += record;
            hard.last_offset = at.offset;
            hard.records += 1;
        }
    }

    fn shard() -> Shard<Counter> {
        Load::default().finish(0)
    }

    fn submit(shard: &mut Shard<Counter>, asker: u64, command: Command) -> Batch<i64> {
        shard.submit(Now { mono_ms: 7, wall_ms: 0 }, Waiter(asker), command)
    }

    #[test]
    fn a_decision_sees_what_it_has_written() {
        let mut shard = shard();
        let batch = submit(&mut shard, 1, Command::Add(vec![60, 40, 1]));
        assert_eq!(batch, Batch { base_offset: 0, records: vec![60, 40, 1] });
        assert_eq!(shard.high_watermark(3), [Output::Effect("hundred"), Output::Reply(Waiter(1), 101)]);
        assert_eq!(submit(&mut shard, 1, Command::Add(vec![1])).base_offset, 3);
    }

    #[test]
    fn nothing_leaves_before_the_whole_batch_is_committed() {
        let mut shard = shard();
        submit(&mut shard, 1, Command::Add(vec![1, 2]));
        submit(&mut shard, 2, Command::Add(vec![3]));
        assert_eq!(shard.high_watermark(0), []);
        assert_eq!(shard.high_watermark(1), []);
        assert_eq!(shard.high_watermark(2), [Output::Reply(Waiter(1), 3)]);
        assert_eq!(shard.high_watermark(3), [Output::Reply(Waiter(2), 6)]);
        assert_eq!(shard.high_watermark(3), []);
    }

    #[test]
    fn the_high_watermark_does_not_go_back() {
        let mut shard = shard();
        submit(&mut shard, 1, Command::Add(vec![1]));
        assert_eq!(shard.high_watermark(1).len(), 1);
        submit(&mut shard, 2, Command::Read);
        assert_eq!(shard.high_watermark(0), [Output::Reply(Waiter(2), 1)], "the caller was overtaken");
    }

    #[test]
    fn what_waits_outlives_the_shard() {
        let mut shard = shard();
        submit(&mut shard, 1, Command::Add(vec![1]));
        submit(&mut shard, 2, Command::Add(vec![2]));
        shard.high_watermark(1);
        submit(&mut shard, 3, Command::Read);
        let parked: Vec<_> = shard.into_parked().into();
        assert_eq!(parked, [(2, Output::Reply(Waiter(2), 3)), (2, Output::Reply(Waiter(3), 3))]);
    }

    #[test]
    fn a_read_waits_for_what_it_has_seen() {
        let mut shard = shard();
        assert_eq!(submit(&mut shard, 1, Command::Read).records, []);
        assert_eq!(shard.high_watermark(0), [Output::Reply(Waiter(1), 0)]);
        submit(&mut shard, 2, Command::Add(vec![5]));
        submit(&mut shard, 3, Command::Read);
        assert_eq!(shard.high_watermark(0), []);
        assert_eq!(shard.high_watermark(1), [Output::Reply(Waiter(2), 5), Output::Reply(Waiter(3), 5)]);
    }

    #[test]
    fn a_loaded_shard_waits_for_what_it_was_loaded_from() {
        let mut load = Load::<Counter>::default();
        load.replay(At { offset: 3 }, &10);
        let mut shard = load.finish(5);
        assert_eq!(submit(&mut shard, 1, Command::Read).base_offset, 5);
        assert_eq!(shard.high_watermark(4), []);
        assert_eq!(shard.high_watermark(5), [Output::Reply(Waiter(1), 10)]);
    }

    /// Counts what was written, and what transactions have left pending by producer.
    #[derive(Debug)]
    struct Pending;

    impl Machine for Pending {
        type Hard = (i64, BTreeMap<i64, i64>);
        type Soft = ();
        type Command = ();
        type Record = i64;
        type Reply = ();
        type Effect = ();

        fn decide(_: &mut Step<'_, Self>, _: Waiter, _: ()) {}

        fn replay(hard: &mut Self::Hard, _: At, record: &i64) {
            hard.0 += record;
        }

        fn replay_pending(hard: &mut Self::Hard, _: At, producer_id: i64, record: &i64) {
            *hard.1.entry(producer_id).or_default() += record;
        }

        fn replay_marker(hard: &mut Self::Hard, producer_id: i64, outcome: TxnOutcome) {
            let pending = hard.1.remove(&producer_id).unwrap_or(0);
            hard.0 += if outcome == TxnOutcome::Committed { pending } else { 0 };
        }
    }

    #[test]
    fn what_a_transaction_wrote_counts_once_it_is_committed() {
        let mut load = Load::<Pending>::default();
        load.replay(At { offset: 0 }, &1);
        load.replay_pending(At { offset: 1 }, 7, &10);
        load.replay_pending(At { offset: 2 }, 8, &100);
        load.replay_pending(At { offset: 3 }, 9, &1000);
        load.replay_marker(At { offset: 4 }, 7, TxnOutcome::Committed);
        load.replay_marker(At { offset: 5 }, 8, TxnOutcome::Aborted);
        let shard = load.finish(6);
        assert_eq!(shard.hard(), &(11, BTreeMap::from([(9, 1000)])));
        // A machine that knows of no transactions takes all for true.
        let mut load = Load::<Counter>::default();
        load.replay_pending(At { offset: 0 }, 7, &10);
        load.replay_marker(At { offset: 1 }, 7, TxnOutcome::Aborted);
        assert_eq!(load.finish(2).hard().sum, 10);
    }

    #[test]
    #[should_panic(expected = "comes after")]
    fn markers_have_their_place_in_the_order() {
        let mut load = Load::<Counter>::default();
        load.replay_marker(At { offset: 1 }, 7, TxnOutcome::Committed);
        load.replay(At { offset: 1 }, &10);
    }

    #[test]
    fn an_asker_may_wait_for_a_later_step() {
        let mut shard = shard();
        submit(&mut shard, 1, Command::Park);
        assert_eq!(shard.high_watermark(0), []);
        submit(&mut shard, 2, Command::Wake);
        assert_eq!(shard.high_watermark(0), [Output::Reply(Waiter(1), 7)]);
    }

    #[test]
    #[should_panic(expected = "above the end")]
    fn a_high_watermark_beyond_the_log_is_a_bug() {
        shard().high_watermark(1);
    }

    #[test]
    #[should_panic(expected = "comes after")]
    fn a_log_is_replayed_in_order() {
        let mut load = Load::<Counter>::default();
        load.replay(At { offset: 1 }, &10);
        load.replay(At { offset: 1 }, &10);
    }

    #[test]
    #[should_panic(expected = "ends at 1, before 2")]
    fn a_log_does_not_end_before_its_records() {
        let mut load = Load::<Counter>::default();
        load.replay(At { offset: 1 }, &10);
        load.finish(1);
    }

    fn commands() -> impl Strategy<Value = Vec<Command>> {
        let command = prop_oneof![
            prop::collection::vec(-50..50i64, 0..5).prop_map(Command::Add),
            Just(Command::Read),
            Just(Command::Park),
            Just(Command::Wake),
        ];
        prop::collection::vec(command, 0..40)
    }

    /// Counts its starts, and the minutes since, in its log; answers those who ask for a minute when one is over.
    #[derive(Debug)]
    struct Minutes;

    impl Machine for Minutes {
        type Hard = Vec<&'static str>;
        type Soft = Timers<Waiter>;
        type Command = ();
        type Record = &'static str;
        type Reply = usize;
        type Effect = ();

        fn decide(step: &mut Step<'_, Self>, asker: Waiter, _: ()) {
            step.soft.set(asker, step.now, 60_000);
        }

        fn replay(hard: &mut Self::Hard, _: At, record: &&'static str) {
            hard.push(record);
        }

        fn loaded(step: &mut Step<'_, Self>) {
            step.log.write("start");
            step.soft.set(Waiter(0), step.now, 60_000);
        }

        fn deadline(soft: &Self::Soft) -> Option<i64> {
            soft.deadline()
        }

        fn expire(step: &mut Step<'_, Self>) {
            while let Some((waiter, _)) = step.soft.take_due(step.now) {
                step.log.write("minute");
                step.reply(waiter, step.log.len());
            }
        }
    }

    #[test]
    fn a_machine_may_act_when_it_is_loaded() {
        let mut load = Load::<Minutes>::default();
        load.replay(At { offset: 3 }, &"start");
        let (mut shard, batch) = load.start(5, Timers::default(), Now { mono_ms: 100, wall_ms: 0 });
        assert_eq!(batch, Batch { base_offset: 5, records: vec!["start"] });
        assert_eq!(shard.hard(), &["start", "start"]);
        assert_eq!(shard.deadline(), Some(60_100));
        assert_eq!(shard.tick(Now { mono_ms: 60_100, wall_ms: 0 }).base_offset, 6);
    }

    #[test]
    fn what_time_brings_is_a_step() {
        let start = Now { mono_ms: 0, wall_ms: 0 };
        let (mut shard, _) = Load::<Minutes>::default().start(0, Timers::default(), start);
        shard.submit(Now { mono_ms: 1_000, wall_ms: 0 }, Waiter(1), ());
        assert_eq!(shard.tick(Now { mono_ms: 59_999, wall_ms: 0 }).records, Vec::<&str>::new());
        assert_eq!(shard.deadline(), Some(60_000));
        let batch = shard.tick(Now { mono_ms: 70_000, wall_ms: 0 });
        assert_eq!(batch, Batch { base_offset: 1, records: vec!["minute", "minute"] });
        assert_eq!(shard.high_watermark(2), []);
        assert_eq!(shard.high_watermark(3), [Output::Reply(Waiter(0), 2), Output::Reply(Waiter(1), 3)]);
        assert_eq!(shard.deadline(), None);
    }

    proptest! {
        #[test]
        fn replaying_the_log_gives_the_same_state(commands in commands()) {
            let mut shard = shard();
            let mut load = Load::<Counter>::default();
            let mut end_offset = 0;
            for command in commands {
                let batch = submit(&mut shard, 0, command);
                prop_assert_eq!(batch.base_offset, end_offset);
                for record in &batch.records {
                    load.replay(At { offset: end_offset }, record);
                    end_offset += 1;
                }
            }
            let again = load.finish(end_offset);
            prop_assert_eq!(again.hard(), shard.hard());
        }

        #[test]
        fn every_reply_leaves_once_and_in_order(commands in commands(), pause in 0..6i64) {
            let mut shard = shard();
            let mut end_offset = 0;
            let mut answered = Vec::new();
            let mut asked = Vec::new();
            for (asker, command) in commands.into_iter().enumerate() {
                if !matches!(command, Command::Park | Command::Wake) {
                    asked.push(Waiter(asker as u64));
                    end_offset += submit(&mut shard, asker as u64, command).records.len() as i64;
                }
                answered.extend(shard.high_watermark((end_offset - pause).max(0)));
            }
            answered.extend(shard.high_watermark(end_offset));
            let answered: Vec<_> = answered.iter().filter_map(|output| match output {
                Output::Reply(waiter, _) => Some(*waiter),
                Output::Effect(_) => None,
            }).collect();
            prop_assert_eq!(answered, asked);
        }
    }
}
