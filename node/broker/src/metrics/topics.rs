//! What goes through topics.
//!
//! Kafka counts by topic and, once more, for all topics together. Here the partitions of a topic count together, and the
//! rest is addition when somebody asks. Partitions that are written to by several cores at a time should not share a line of
//! memory for it, so a topic has a few sets of counters, and its partitions take turns with them.
//!
//! The sum over all topics must never fall: Prometheus would take that for a restart. So what a topic has counted is kept
//! when nobody holds it any more.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use ottla_base::Uuid;
use ottla_observe::Counter;
use ottla_records::{HeaderFault, RecordCause, Refusal};
use ottla_wire::ErrorCode;

use crate::api::outcome;

/// Sets of counters of one topic, if it has that many partitions.
const SETS_MAX: usize = 4;
/// As many topics are kept that nobody holds any more before somebody looks for them.
const LEFT_OVER_MAX: usize = 64;

/// One set, which fills a line of memory.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Set {
    messages_in: Counter,
    bytes_in: Counter,
    bytes_out: Counter,
    produce_requests: Counter,
    fetch_requests: Counter,
    failed_produce_requests: Counter,
    failed_fetch_requests: Counter,
    bytes_rejected: Counter,
}

/// What was counted, of a topic or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sums {
    pub messages_in: u64,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub produce_requests: u64,
    pub fetch_requests: u64,
    pub failed_produce_requests: u64,
    pub failed_fetch_requests: u64,
    pub bytes_rejected: u64,
}

/// Records that were refused, whatever their topic.
#[derive(Debug, Default)]
pub struct Invalid {
    pub magic: Counter,
    pub crc: Counter,
    pub offset_or_sequence: Counter,
    pub no_key: Counter,
}

#[derive(Debug)]
pub struct OfTopic {
    sets: Vec<Set>,
    invalid: Arc<Invalid>,
}

/// Where one partition counts.
#[derive(Clone, Debug)]
pub struct Traffic {
    of: Arc<OfTopic>,
    set: usize,
}

/// All topics.
#[derive(Debug, Default)]
pub struct Topics {
    state: Mutex<State>,
    pub invalid: Arc<Invalid>,
}

#[derive(Debug, Default)]
struct State {
    topics: BTreeMap<Uuid, Arc<OfTopic>>,
    /// Of topics that are gone.
    gone: Sums,
    swept_at: usize,
}

impl Topics {
    /// Where a partition that is opened counts from now on.
    pub fn traffic(&self, topic: Uuid, partitions: usize, index: i32) -> Traffic {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.topics.len() > state.swept_at + LEFT_OVER_MAX {
            state.sweep();
        }
        let new = || {
            let sets = (0..partitions.clamp(1, SETS_MAX)).map(|_| Set::default()).collect();
            Arc::new(OfTopic { sets, invalid: self.invalid.clone() })
        };
        let of = state.topics.entry(topic).or_insert_with(new).clone();
        let set = index.unsigned_abs() as usize % of.sets.len();
        Traffic { of, set }
    }

    /// What was counted of each topic, and of all that there ever were.
    pub fn sums(&self) -> (BTreeMap<Uuid, Sums>, Sums) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.sweep();
        let by_topic: BTreeMap<_, _> = state.topics.iter().map(|(id, topic)| (*id, topic.sums())).collect();
        let all = by_topic.values().fold(state.gone, |all, one| all.plus(one));
        (by_topic, all)
    }
}

impl State {
    /// Forgets topics that nobody else holds, but not what they have counted.
    fn sweep(&mut self) {
        let held = |topic: &Arc<OfTopic>| Arc::strong_count(topic) > 1;
        let gone = self.topics.extract_if(.., |_, topic| !held(topic));
        self.gone = gone.fold(self.gone, |all, (_, topic)| all.plus(&topic.sums()));
        self.swept_at = self.topics.len();
    }
}

impl OfTopic {
    fn sums(&self) -> Sums {
        self.sets.iter().fold(Sums::default(), |all, set| all.plus(&set.sums()))
    }
}

impl Set {
    fn sums(&self) -> Sums {
        Sums {
            messages_in: self.messages_in.get(),
            bytes_in: self.bytes_in.get(),
            bytes_out: self.bytes_out.get(),
            produce_requests: self.produce_requests.get(),
            fetch_requests: self.fetch_requests.get(),
            failed_produce_requests: self.failed_produce_requests.get(),
            failed_fetch_requests: self.failed_fetch_requests.get(),
            bytes_rejected: self.bytes_rejected.get(),
        }
    }
}

impl Sums {
    fn plus(self, other: &Sums) -> Sums {
        Sums {
            messages_in: self.messages_in + other.messages_in,
            bytes_in: self.bytes_in + other.bytes_in,
            bytes_out: self.bytes_out + other.bytes_out,
            produce_requests: self.produce_requests + other.produce_requests,
            fetch_requests: self.fetch_requests + other.fetch_requests,
            failed_produce_requests: self.failed_produce_requests + other.failed_produce_requests,
            failed_fetch_requests: self.failed_fetch_requests + other.failed_fetch_requests,
            bytes_rejected: self.bytes_rejected + other.bytes_rejected,
        }
    }
}

/// What was appended at once.
#[derive(Clone, Copy, Debug, Default)]
pub struct Appended {
    pub requests: u64,
    pub messages: u64,
    pub bytes: u64,
}

impl Traffic {
    fn set(&self) -> &Set {
        &self.of.sets[self.set]
    }

    #[inline]
    pub fn appended(&self, Appended { requests, messages, bytes }: Appended) {
        let set = self.set();
        set.produce_requests.add(requests);
        set.messages_in.add(messages);
        set.bytes_in.add(bytes);
    }

    /// A fetch has asked, and got so many bytes.
    #[inline]
    pub fn fetched(&self, bytes: u64, error: ErrorCode) {
        let set = self.set();
        set.fetch_requests.add(1);
        if bytes > 0 {
            set.bytes_out.add(bytes);
        }
        if !is_expected_of_a_fetch(error) {
            set.failed_fetch_requests.add(1);
        }
    }

    /// A producer's batch never came to be appended.
    pub fn turned_away(&self, error: ErrorCode) {
        self.set().produce_requests.add(1);
        self.failed_to_append(error);
    }

    pub fn failed_to_append(&self, error: ErrorCode) {
        if !is_expected_of_a_producer(error) {
            self.set().failed_produce_requests.add(1);
        }
    }

    /// A batch was not fit for the log.
    pub fn refused(&self, refusal: &Refusal) {
        let invalid = &self.of.invalid;
        match refusal {
            Refusal::TooLarge { bytes, .. } => self.set().bytes_rejected.add(*bytes as u64),
            Refusal::Magic(_) => invalid.magic.add(1),
            Refusal::Crc { .. } => invalid.crc.add(1),
            Refusal::Header(HeaderFault::BaseOffset(_) | HeaderFault::Count { .. } | HeaderFault::Producer { .. }) => {
                invalid.offset_or_sequence.add(1)
            }
            Refusal::Records { faults, .. } => {
                let no_key = faults.iter().filter(|fault| fault.cause == RecordCause::MissingKey);
                invalid.no_key.add(no_key.count() as u64);
            }
            _ => {}
        }
    }
}

/// What Kafka takes for a client's error, or counts elsewhere, and not for a failure.
fn is_expected_of_a_producer(error: ErrorCode) -> bool {
    use ErrorCode::*;
    error == outcome::STORAGE
        || matches!(
            error,
            None | UnknownTopicOrPartition
                | UnknownTopicId
                | NotLeaderOrFollower
                | MessageTooLarge
                | RecordListTooLarge
                | CorruptMessage
        )
}

fn is_expected_of_a_fetch(error: ErrorCode) -> bool {
    use ErrorCode::*;
    error == outcome::STORAGE
        || matches!(
            error,
            None | UnknownTopicOrPartition
                | UnknownTopicId
                | InconsistentTopicId
                | NotLeaderOrFollower
                | UnknownLeaderEpoch
                | FencedLeaderEpoch
                | ReplicaNotAvailable
                | OffsetOutOfRange
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u64) -> Uuid {
        Uuid::random_from(u128::from(n) << 100 | 1 << 77).unwrap_or(Uuid::ZERO)
    }

    #[test]
    fn the_sum_over_all_topics_outlives_them() {
        let topics = Topics::default();
        let [first, second] = [0, 5].map(|index| topics.traffic(id(1), 6, index));
        first.appended(Appended { requests: 1, messages: 10, bytes: 100 });
        second.appended(Appended { requests: 1, messages: 5, bytes: 50 });
        second.fetched(7, ErrorCode::None);
        let (by_topic, all) = topics.sums();
        let expected = Sums {
            messages_in: 15,
            bytes_in: 150,
            bytes_out: 7,
            produce_requests: 2,
            fetch_requests: 1,
            ..Sums::default()
        };
        assert_eq!((by_topic.get(&id(1)), all), (Some(&expected), expected));
        drop((first, second));
        assert_eq!(topics.sums(), (BTreeMap::new(), expected));
    }

    #[test]
    fn topics_that_come_and_go_leave_nothing_but_numbers() {
        let topics = Topics::default();
        for n in 0..10_000 {
            topics.traffic(id(n), 1, 0).turned_away(ErrorCode::InvalidRecord);
        }
        assert!(topics.state.lock().unwrap().topics.len() <= LEFT_OVER_MAX + 2);
        assert_eq!(topics.sums().1.failed_produce_requests, 10_000);
    }

    #[test]
    fn what_a_client_does_wrong_is_no_failure_of_the_broker() {
        let topics = Topics::default();
        let traffic = topics.traffic(id(1), 1, 0);
        traffic.turned_away(ErrorCode::CorruptMessage);
        traffic.turned_away(outcome::STORAGE);
        traffic.fetched(0, ErrorCode::OffsetOutOfRange);
        traffic.refused(&Refusal::Crc { sent: 1, computed: 2 });
        traffic.refused(&Refusal::TooLarge { bytes: 9, bytes_max: 8 });
        let all = topics.sums().1;
        assert_eq!((all.failed_produce_requests, all.failed_fetch_requests, all.bytes_rejected), (0, 0, 9));
        assert_eq!(topics.invalid.crc.get(), 1);
    }
}
