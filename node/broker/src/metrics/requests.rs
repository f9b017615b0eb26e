//! What becomes of requests: how many there were of each API, how long they took, how large they were, how they ended.
//!
//! A request counts when its answer is ready, so all of an API's numbers are of the same requests. The time begins when
//! the request is taken from its connection with all others of its turn, and for those that are answered with the turn it
//! ends with it: one look at the clock for a turn more than it took anyway. What a request waits for behind others of its
//! connection is not its time: where a turn had to wait, time begins anew for what it takes then. All of that is *local* time, as Kafka calls it. A
//! request that has to wait for something else looks at the clock when it begins to, and what follows is *remote*. So the
//! many that do not wait are recorded once, and the parts of their time follow from that.

use std::sync::OnceLock;

use ottla_observe::{Counter, Histogram};
use ottla_wire::{ApiKey, ErrorCode};

use super::measure::{MICROS, Quantiles, named};
use crate::api::TABLE;

/// Codes from -1 on; Kafka 4.3 has 135.
const CODES: usize = 160;

/// By the rows of [`TABLE`].
#[derive(Debug)]
pub struct Requests(Vec<OfApi>);

#[derive(Debug)]
pub struct OfApi {
    pub key: ApiKey,
    first_version: i16,
    by_version: Vec<Counter>,
    /// Made for the first request.
    seen: OnceLock<Box<Seen>>,
}

#[derive(Debug)]
struct Seen {
    /// Of those that have not waited.
    at_once_us: Histogram,
    /// Of the others. Made for the first.
    late: OnceLock<Box<Late>>,
    bytes: Histogram,
    errors: [Counter; CODES],
}

/// Times of requests that have waited.
#[derive(Debug, Default)]
struct Late {
    total_us: Histogram,
    local_us: Histogram,
    remote_us: Histogram,
}

/// A request that was taken from its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Row of [`TABLE`].
    pub row: usize,
    pub version: i16,
    pub bytes: u32,
    pub at_us: i64,
}

impl Default for Requests {
    fn default() -> Requests {
        let of_api = |api: &crate::api::Api| {
            let versions = &api.key.api().versions;
            OfApi {
                key: api.key,
                first_version: *versions.start(),
                by_version: versions.clone().map(|_| Counter::default()).collect(),
                seen: OnceLock::new(),
            }
        };
        Requests(TABLE.iter().map(of_api).collect())
    }
}

impl Requests {
    /// The answer to this request is ready, for which it had to wait from `waited_from_us` on.
    pub fn answered(&self, taken: Taken, waited_from_us: Option<i64>, now_us: i64) {
        let Some(waited_from_us) = waited_from_us else { return self.answered_at_once(taken, 1, now_us) };
        let micros = |from_us: i64, to_us: i64| u64::try_from(to_us - from_us).unwrap_or(0);
        let late = self.count(taken, 1, now_us).late.get_or_init(Box::default);
        late.total_us.record(micros(taken.at_us, now_us), 1, now_us);
        late.local_us.record(micros(taken.at_us, waited_from_us), 1, now_us);
        late.remote_us.record(micros(waited_from_us, now_us), 1, now_us);
    }

    /// The answers to these are ready, all at once. Most of a turn are alike: those are counted together.
    pub fn answered_all(&self, all: &mut Vec<Taken>, now_us: i64) {
        for alike in all.chunk_by(|a, b| a == b) {
            self.answered_at_once(alike[0], u32::try_from(alike.len()).unwrap_or(u32::MAX), now_us);
        }
        all.clear();
    }

    fn answered_at_once(&self, taken: Taken, times: u32, now_us: i64) {
        let took_us = u64::try_from(now_us - taken.at_us).unwrap_or(0);
        self.count(taken, times, now_us).at_once_us.record(took_us, times, now_us);
    }

    fn count(&self, taken: Taken, times: u32, now_us: i64) -> &Seen {
        let api = &self.0[taken.row];
        if let Some(count) = api.by_version.get(usize::from(taken.version.wrapping_sub(api.first_version) as u16)) {
            count.add(times.into());
        }
        let seen = api.seen();
        seen.bytes.record(taken.bytes.into(), times, now_us);
        seen
    }

    /// So many of the parts of answers have this error, or none.
    pub fn errors(&self, row: usize, code: i16, count: u64) {
        if let Some(counter) = self.0[row].seen().errors.get(usize::from(code.wrapping_add(1) as u16)) {
            counter.add(count);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = &OfApi> {
        self.0.iter()
    }
}

impl OfApi {
    fn seen(&self) -> &Seen {
        self.seen.get_or_init(|| {
            let errors = [const { Counter::new() }; CODES];
            let (at_once_us, bytes) = (Histogram::default(), Histogram::default());
            Box::new(Seen { at_once_us, late: OnceLock::new(), bytes, errors })
        })
    }

    /// The versions that were used, and how often.
    pub fn by_version(&self) -> impl Iterator<Item = (i16, u64)> {
        let counts = (self.first_version..).zip(&self.by_version).map(|(version, count)| (version, count.get()));
        counts.filter(|(_, count)| *count > 0)
    }

    pub fn count(&self) -> u64 {
        self.by_version.iter().map(Counter::get).sum()
    }

    /// Of the time that requests took, in milliseconds; of that the local part, and the remote one.
    pub fn times_ms(&self, now_us: i64) -> [Option<Quantiles>; 3] {
        let Some(seen) = self.seen.get() else { return [None; 3] };
        let at_once = seen.at_once_us.recent(now_us);
        let zeros = at_once.zeroed();
        let all = match seen.late.get() {
            None => [at_once.clone(), at_once, zeros],
            Some(late) => [
                at_once.clone().plus(&late.total_us.recent(now_us)),
                at_once.plus(&late.local_us.recent(now_us)),
                zeros.plus(&late.remote_us.recent(now_us)),
            ],
        };
        all.map(|times| named(&times, MICROS))
    }

    pub fn bytes(&self, now_us: i64) -> Option<Quantiles> {
        named(&self.seen.get()?.bytes.recent(now_us), 1.0)
    }

    /// The codes that answers had, and how often.
    pub fn errors(&self) -> impl Iterator<Item = (ErrorCode, u64)> {
        let counts = (-1_i16..).zip(self.seen.get().into_iter().flat_map(|seen| &seen.errors));
        counts.filter_map(|(code, count)| Some((ErrorCode::from_code(code)?, count.get()))).filter(|(_, n)| *n > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_counts_under_its_version_with_its_time_and_size() {
        let requests = Requests::default();
        let row = TABLE.iter().position(|api| api.key == ApiKey::Fetch).unwrap();
        for (version, took_us) in [(12, 2000), (18, 4000), (99, 0), (i16::MIN, 0)] {
            requests.answered(Taken { row, version, bytes: 100, at_us: 5 }, None, 5 + took_us);
        }
        requests.errors(row, 0, 2);
        requests.errors(row, 1, 1);
        [-2, 500, i16::MIN].into_iter().for_each(|unknown| requests.errors(row, unknown, 1));
        let fetch = requests.iter().nth(row).unwrap();
        assert_eq!(fetch.by_version().collect::<Vec<_>>(), [(12, 1), (18, 1)]);
        assert_eq!(fetch.count(), 2);
        assert_eq!(fetch.errors().collect::<Vec<_>>(), [(ErrorCode::None, 2), (ErrorCode::OffsetOutOfRange, 1)]);
        let longest = fetch.times_ms(9000)[0].unwrap()[5];
        assert!(longest.0 == "0.999" && (3.8..4.2).contains(&longest.1), "{longest:?}");
        assert!((95.0..104.0).contains(&fetch.bytes(9000).unwrap()[0].1));
    }

    #[test]
    fn who_waits_has_a_local_part_and_a_remote_one() {
        let requests = Requests::default();
        let taken = Taken { row: 0, version: 9, bytes: 100, at_us: 1_000 };
        requests.answered_all(&mut vec![taken; 9], 3_000);
        let medians = || requests.iter().next().unwrap().times_ms(9_000).map(|times| times.unwrap()[0].1);
        let [total, local, remote] = medians();
        assert!(total == local && (1.9..2.1).contains(&total) && remote == 0.0, "{total} {local} {remote}");
        (0..90).for_each(|_| requests.answered(taken, Some(5_000), 11_000));
        let [total, local, remote] = medians();
        assert!((9.6..10.4).contains(&total) && (3.8..4.2).contains(&local) && (5.8..6.2).contains(&remote));
        assert_eq!(requests.iter().next().unwrap().count(), 99);
    }
}
