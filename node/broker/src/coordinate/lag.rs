//! How far groups are behind: in records, and in time.
//!
//! A number of records says little of a topic that one does not know; how old the first record is that a group has not read
//! says when somebody will complain. The age takes a look into the log, at the header of one batch, and what was seen there
//! stays true as long as the group has not moved on. So ages are remembered, and a bounded number of them is looked up at a
//! time; what is left out comes with the next look.

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_group::Committed;
use ottla_records::TimestampType;
use ottla_wire::TopicKey;

use crate::partition::Partition;
use crate::topics::Published;

/// Partitions of groups that are looked at, of all groups in order of their ids.
pub const LAGS_MAX: usize = 10_000;
/// Headers that are read at a time.
const READS_MAX: usize = 1_000;

#[derive(Clone, Debug, PartialEq)]
pub struct Lag {
    pub committed: Committed,
    /// Behind the last record that consumers may read.
    pub end: i64,
    pub messages: i64,
    /// Age of the first record that was not consumed, or of the first of its batch. `None` where it is not known.
    pub seconds: Option<f64>,
}

/// What is known of records that groups have yet to read.
#[derive(Debug, Default)]
pub struct Times(BTreeMap<(Arc<str>, Uuid, i32), Seen>);

/// The timestamp at an offset; -1 if the record has none.
#[derive(Clone, Copy, Debug)]
struct Seen {
    offset: i64,
    timestamp_ms: i64,
}

/// Compares what groups have committed with where their partitions end. Topics that are gone are left out. May read from the
/// disk. `times` keeps what is in use, and nothing else.
pub fn look(published: &Published, committed: Vec<Committed>, wall_ms: i64, times: &mut Times) -> Vec<Lag> {
    let mut reads_left = READS_MAX;
    let before = std::mem::take(&mut times.0);
    let mut lags = Vec::new();
    for committed in committed {
        let Some(topic) = published.topics.find(TopicKey::Name(&committed.topic)) else { continue };
        if committed.topic_id != Uuid::ZERO && committed.topic_id != topic.id {
            continue;
        }
        let Ok(partition) = topic.partition(committed.partition) else { continue };
        let marks = partition.last_marks();
        let messages = (marks.high_watermark - committed.offset).max(0);
        let next = committed.offset.max(marks.start);
        let key = (committed.group.clone(), topic.id, committed.partition);
        let seen = if messages == 0 {
            None
        } else if let Some(seen) = before.get(&key).filter(|seen| seen.offset == next) {
            Some(*seen)
        } else if reads_left > 0 {
            reads_left -= 1;
            timestamp_at(partition, next).map(|timestamp_ms| Seen { offset: next, timestamp_ms })
        } else {
            None
        };
        times.0.extend(seen.map(|seen| (key, seen)));
        let age_s = |ms: i64| (wall_ms - ms).max(0) as f64 / 1000.0;
        let seconds = match seen {
            _ if messages == 0 => Some(0.0),
            Some(Seen { timestamp_ms: 0.., .. }) => seen.map(|seen| age_s(seen.timestamp_ms)),
            _ => None,
        };
        lags.push(Lag { committed, end: marks.high_watermark, messages, seconds });
    }
    lags
}

/// When the first record of the batch that holds `offset` was made. `None` if it cannot be read.
fn timestamp_at(partition: &Partition, offset: i64) -> Option<i64> {
    let header = partition.reader.header_of(offset, partition.readable_end()).ok()??;
    Some(match header.attributes.timestamp_type() {
        TimestampType::CreateTime => header.base_timestamp,
        TimestampType::LogAppendTime => header.max_timestamp,
    })
}
