//! A short history without fault, which tests doctor.

use ottla_base::Uuid;

use crate::history::{At, Batch, Event, Keeps, LogId, Marks, Sheds};
use crate::record::Record;

/// Where the synced log is read.
pub const FETCHED: At = 11;

pub fn log(of: Keeps) -> LogId {
    let topic = match of {
        Keeps::Synced => Uuid([1; 16]),
        Keeps::Cached => Uuid([2; 16]),
    };
    LogId { topic, partition: 0 }
}

pub fn batch(of: Keeps, producer: u32, first: u32, is_idempotent: bool) -> Batch {
    Batch { log: log(of), producer, first, count: 1, is_idempotent }
}

pub fn marks(high_watermark: i64) -> Marks {
    Marks { start: 0, high_watermark }
}

fn records(of: &[(u32, u32)]) -> Vec<(i64, Record)> {
    (0..).zip(of.iter().map(|(producer, number)| Record { producer: *producer, number: *number })).collect()
}

/// The same where the topics shed records.
pub fn history_that_sheds(sheds: Sheds) -> Vec<Event> {
    let mut history = history();
    for event in &mut history {
        if let Event::Created { sheds: of, .. } = event {
            *of = sheds;
        }
    }
    history
}

/// Two topics. An idempotent producer writes three records to the synced one, two plain ones write to the cached one.
pub fn history() -> Vec<Event> {
    let create = |name: &str, of| {
        let created = Event::Created { name: name.to_owned(), id: log(of).topic, keeps: of, sheds: Sheds::Nothing };
        [Event::CreateSent { name: name.to_owned() }, created]
    };
    let write = |of, producer, first, base_offset, acks_all| {
        let batch = batch(of, producer, first, acks_all);
        [Event::Sent { batch }, Event::Kept { batch, base_offset, acks_all }]
    };
    let synced = records(&[(0, 0), (0, 1), (0, 2)]);
    let cached = records(&[(2, 0), (3, 0), (2, 1)]);
    let fetched =
        Event::Fetched { sent: 10, log: log(Keeps::Synced), offset: 0, marks: marks(3), records: synced.clone() };
    let events: [&[Event]; 11] = [
        &create("s", Keeps::Synced),
        &create("c", Keeps::Cached),
        &[Event::Started],
        &write(Keeps::Synced, 0, 0, 0, true),
        &write(Keeps::Synced, 0, 1, 1, true),
        &write(Keeps::Synced, 0, 2, 2, true),
        &[fetched],
        &write(Keeps::Cached, 2, 0, 0, false),
        &write(Keeps::Cached, 3, 0, 1, false),
        &write(Keeps::Cached, 2, 1, 2, false),
        &[
            Event::Audited { log: log(Keeps::Synced), marks: marks(3), records: synced },
            Event::Audited { log: log(Keeps::Cached), marks: marks(3), records: cached },
        ],
    ];
    events.concat()
}
