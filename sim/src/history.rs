//! What was seen of a broker from outside, in the order in which it was seen.
//!
//! The clients of a broker and whoever breaks its machine note here what they do and what they are told. The promises of
//! a broker are checked against the whole of it afterwards (`checks/`), so no client needs to know what is right.

mod groups;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_base::Uuid;
use ottla_rt::Rt;
use ottla_wire::ErrorCode;

use crate::record::Record;
use crate::trace::Trace;

pub use groups::{Commit, Epoch, Found, GroupEvent, Member, Term};

/// A partition of the topic with this id, whatever its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LogId {
    pub topic: Uuid,
    pub partition: i32,
}

/// What an acknowledgement of a topic promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Through a loss of power: `flush.messages=1`.
    Synced,
    /// Through a killed process.
    Cached,
}

/// Which records of a topic the broker removes by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sheds {
    Nothing,
    /// The oldest: retention.
    Old,
    /// Those behind which their key comes again: compaction.
    Overwritten,
}

/// Records of one producer with consecutive numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Batch {
    pub log: LogId,
    pub producer: u32,
    pub first: u32,
    pub count: u32,
    /// Sent with sequences, and again until it is kept. Else it is sent once.
    pub is_idempotent: bool,
}

impl Batch {
    pub fn records(&self) -> impl Iterator<Item = Record> + use<> {
        let producer = self.producer;
        (self.first..self.first + self.count).map(move |number| Record { producer, number })
    }
}

/// A place in a history: everything with a smaller one came before.
pub type At = usize;

#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Started,
    /// Cleanly: everything is on the disk.
    Stopped,
    Killed,
    PowerLost,
    CreateSent {
        name: String,
    },
    Created {
        name: String,
        id: Uuid,
        keeps: Keeps,
        sheds: Sheds,
    },
    /// A replica is asked to go to a log directory: it may be gone for a moment.
    MoveSent {
        log: LogId,
    },
    /// The records before an offset are to go, of whichever topic has the name.
    TrimSent {
        topic: String,
        partition: i32,
        before: i64,
    },
    Trimmed {
        log: LogId,
        start: i64,
    },
    DeleteSent {
        id: Uuid,
    },
    Deleted {
        id: Uuid,
    },
    /// All topics, as asked for at `sent`.
    Listed {
        sent: At,
        topics: Vec<(String, Uuid)>,
    },
    ProducerId {
        id: i64,
    },
    Sent {
        batch: Batch,
    },
    Kept {
        batch: Batch,
        base_offset: i64,
        acks_all: bool,
    },
    /// `behind_trouble`: sent behind a batch of the same sequence that was not kept.
    Refused {
        batch: Batch,
        error: ErrorCode,
        behind_trouble: bool,
    },
    /// What a fetch that was sent at `sent` was answered for one log.
    Fetched {
        sent: At,
        log: LogId,
        offset: i64,
        marks: Marks,
        records: Vec<(i64, Record)>,
    },
    FetchRefused {
        sent: At,
        log: LogId,
        error: ErrorCode,
    },
    /// Where a log begins and ends, as asked for at `sent`.
    Ends {
        sent: At,
        log: LogId,
        marks: Marks,
    },
    /// The whole log, while nothing else went on.
    Audited {
        log: LogId,
        marks: Marks,
        records: Vec<(i64, Record)>,
    },
    Group(GroupEvent),
    /// What no broker may do.
    Broken {
        what: String,
    },
}

/// Where a reader was told that a log begins and ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    pub start: i64,
    pub high_watermark: i64,
}

/// The history of one broker. Clones are the same history.
#[derive(Clone, Debug)]
pub struct History(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    name: String,
    rt: Rt,
    trace: Trace,
    events: Mutex<Vec<Event>>,
}

impl History {
    pub fn new(name: &str, rt: Rt, trace: Trace) -> History {
        History(Arc::new(Inner { name: name.to_owned(), rt, trace, events: Mutex::default() }))
    }

    pub fn note(&self, event: Event) {
        self.tell(&event);
        self.events().push(event);
    }

    /// Gives the place of the event.
    pub fn note_group(&self, event: GroupEvent) -> At {
        let at = self.at();
        self.note(Event::Group(event));
        at
    }

    /// Something for the trace alone.
    pub fn tell(&self, what: impl fmt::Display) {
        self.0.trace.line(&self.0.rt, &self.0.name, what);
    }

    /// Where the next event will stand.
    pub fn at(&self) -> At {
        self.events().len()
    }

    /// Whether the topic is known to have been created.
    pub fn knows(&self, topic: Uuid) -> bool {
        self.events().iter().any(|event| matches!(event, Event::Created { id, .. } if *id == topic))
    }

    /// How often somebody has asked for the topic to be deleted.
    pub fn deletions(&self, topic: Uuid) -> usize {
        self.events().iter().filter(|event| matches!(event, Event::DeleteSent { id } if *id == topic)).count()
    }

    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut self.events())
    }

    fn events(&self) -> MutexGuard<'_, Vec<Event>> {
        self.0.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Display for LogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", &self.topic.to_string()[..4], self.partition)
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Batch { log, producer, first, count, .. } = self;
        write!(f, "p{producer}#{first}+{count} for {log}")
    }
}

impl fmt::Display for Marks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}..{}", self.start, self.high_watermark)
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Started => write!(f, "== started"),
            Event::Stopped => write!(f, "== stopped cleanly"),
            Event::Killed => write!(f, "== killed"),
            Event::PowerLost => write!(f, "== lost its power"),
            Event::CreateSent { name } => write!(f, "create {name}"),
            Event::Created { name, id, .. } => write!(f, "created {name} as {id}"),
            Event::MoveSent { log } => write!(f, "move {log}"),
            Event::TrimSent { topic, partition, before } => write!(f, "trim {topic}-{partition} to {before}"),
            Event::Trimmed { log, start } => write!(f, "trimmed {log} to {start}"),
            Event::DeleteSent { id } => write!(f, "delete {id}"),
            Event::Deleted { id } => write!(f, "deleted {id}"),
            Event::Listed { topics, .. } => write!(f, "topics {topics:?}"),
            Event::ProducerId { id } => write!(f, "producer id {id}"),
            Event::Sent { batch } => write!(f, "sent {batch}"),
            Event::Kept { batch, base_offset, acks_all } => {
                write!(f, "kept {batch} at {base_offset}, acks={}", if *acks_all { -1 } else { 1 })
            }
            Event::Refused { batch, error, .. } => write!(f, "refused {batch}: {error}"),
            Event::Fetched { log, offset, marks, records, .. } => {
                write!(f, "read {log} from {offset}: {}, log {marks}", Span(records))
            }
            Event::Ends { log, marks, .. } => write!(f, "log {log} is {marks}"),
            Event::FetchRefused { log, error, .. } => write!(f, "read {log}: {error}"),
            Event::Audited { log, marks, records } => write!(f, "audit {log}: {}, log {marks}", Span(records)),
            Event::Group(event) => write!(f, "{event}"),
            Event::Broken { what } => write!(f, "!! {what}"),
        }
    }
}

/// First and last of some records.
struct Span<'a>(&'a [(i64, Record)]);

impl fmt::Display for Span<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => write!(f, "nothing"),
            [(at, one)] => write!(f, "{at} {one}"),
            [(first_at, first), .., (last_at, last)] => write!(f, "{first_at} {first} to {last_at} {last}"),
        }
    }
}
