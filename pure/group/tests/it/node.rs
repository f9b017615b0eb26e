//! A coordinator of one partition: the shard and its log, in which each record is committed at once.

use ottla_base::Now;
use ottla_group::{Command, Config, GroupConfigs, Groups, Record, Reply, Soft, Topics};
use ottla_machine::{At, Batch, Load, Output, Shard, Waiter};

/// Wall time at the start.
pub const START_MS: i64 = 1_000_000;

pub struct Node {
    pub shard: Shard<Groups>,
    pub config: Config,
    /// What a new coordinator is told; a change is to be submitted too.
    pub topics: Topics,
    pub group_configs: GroupConfigs,
    /// Key and value of each record; the index is the offset.
    pub log: Vec<(Vec<u8>, Option<Vec<u8>>)>,
    pub now: Now,
}

/// What a step wrote and said.
pub type Done = (Vec<(i64, Record)>, Vec<(Waiter, Reply)>);

impl Node {
    pub fn new(config: Config) -> Node {
        let now = Now { mono_ms: 0, wall_ms: START_MS };
        let (shard, batch) = Load::default().start(0, Soft::new(config), now);
        assert_eq!(batch.records, []);
        Node { shard, config, topics: Topics::default(), group_configs: GroupConfigs::default(), log: Vec::new(), now }
    }

    pub fn submit(&mut self, asker: Waiter, command: Command) -> Done {
        let batch = self.shard.submit(self.now, asker, command);
        self.append(batch)
    }

    /// Lets time pass up to the next timer, but no further than `mono_ms`, and does all that is due then.
    pub fn pass(&mut self, mono_ms: i64) -> Done {
        let until = self.shard.deadline().unwrap_or(i64::MAX).clamp(self.now.mono_ms, mono_ms);
        self.now = Now { mono_ms: until, wall_ms: START_MS + until };
        let (mut records, mut replies) = self.tick();
        while self.shard.deadline().is_some_and(|deadline| deadline <= until) {
            let (more, others) = self.tick();
            records.extend(more);
            replies.extend(others);
        }
        (records, replies)
    }

    /// Lets time pass in which the coordinator does nothing, and then what was due.
    pub fn stall(&mut self, ms: i64) -> Done {
        let mono_ms = self.now.mono_ms + ms;
        self.now = Now { mono_ms, wall_ms: START_MS + mono_ms };
        self.pass(mono_ms)
    }

    /// One step of what is due.
    pub fn tick(&mut self) -> Done {
        let batch = self.shard.tick(self.now);
        self.append(batch)
    }

    fn append(&mut self, batch: Batch<Record>) -> Done {
        assert_eq!(batch.base_offset, self.log.len() as i64);
        self.log.extend(batch.records.iter().map(Record::encode));
        let outputs = self.shard.high_watermark(self.log.len() as i64).into_iter().map(|output| match output {
            Output::Reply(waiter, reply) => (waiter, reply),
            Output::Effect(never) => match never {},
        });
        ((batch.base_offset..).zip(batch.records).collect(), outputs.collect())
    }

    /// Loads the log into a new machine, which finds in it what was there before.
    pub fn crash(&mut self) -> Done {
        let load = self.load();
        let soft = Soft::new(self.config).with(self.topics.clone(), self.group_configs.clone());
        let (shard, batch) = load.start(self.log.len() as i64, soft, self.now);
        let before = std::mem::replace(&mut self.shard, shard);
        if batch.records.is_empty() {
            assert_eq!(self.shard.hard(), before.hard());
        }
        self.append(batch)
    }

    pub fn load(&self) -> Load<Groups> {
        let mut load = Load::<Groups>::default();
        for (offset, (key, value)) in self.log.iter().enumerate() {
            let record = Record::decode(key, value.as_deref()).unwrap().unwrap();
            load.replay(At { offset: offset as i64 }, &record);
        }
        load
    }
}
