//! What a listener's connections have been, and what went through them.
//!
//! A connection counts what it receives and sends by itself, and adds that up at the end of a turn. Connections of several
//! cores should not share a line of memory for it, so there are a few lines, and they take turns with them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

const LINES: usize = 8;

/// Of one listener, from the start on.
#[derive(Debug, Default)]
pub struct Visits {
    accepted: AtomicU64,
    closed: AtomicU64,
    closed_idle: AtomicU64,
    lines: [Line; LINES],
}

/// What went through some of the connections.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line {
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    requests: AtomicU64,
    replies: AtomicU64,
}

/// What went through a connection, or all of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// Whole frames.
    pub requests: u64,
    pub replies: u64,
}

impl Visits {
    /// Connections that were accepted, and those of them that have ended.
    pub fn accepted_and_closed(&self) -> (u64, u64) {
        // In this order, or there could be more that have ended.
        let closed = self.closed.load(Ordering::Acquire);
        (self.accepted.load(Ordering::Relaxed), closed)
    }

    /// Connections that were closed because nothing came, or nothing was read, for `connections.max.idle.ms`.
    pub fn closed_idle(&self) -> u64 {
        self.closed_idle.load(Ordering::Relaxed)
    }

    pub fn volume(&self) -> Volume {
        self.lines.iter().fold(Volume::default(), |all, line| {
            let Volume { bytes_in, bytes_out, requests, replies } = line.sums();
            Volume {
                bytes_in: all.bytes_in + bytes_in,
                bytes_out: all.bytes_out + bytes_out,
                requests: all.requests + requests,
                replies: all.replies + replies,
            }
        })
    }
}

impl Line {
    fn add(&self, volume: &Volume) {
        let Volume { bytes_in, bytes_out, requests, replies } = *volume;
        let add = |count: &AtomicU64, more: u64| {
            if more > 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        };
        add(&self.bytes_in, bytes_in);
        add(&self.bytes_out, bytes_out);
        add(&self.requests, requests);
        add(&self.replies, replies);
    }

    fn sums(&self) -> Volume {
        let of = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Volume {
            bytes_in: of(&self.bytes_in),
            bytes_out: of(&self.bytes_out),
            requests: of(&self.requests),
            replies: of(&self.replies),
        }
    }
}

/// One connection, which has ended, however it did, when this is dropped.
#[derive(Debug)]
pub(crate) struct Visit {
    visits: Arc<Visits>,
    line: usize,
    /// Not added up yet.
    pub volume: Volume,
}

impl Visit {
    pub(crate) fn begin(visits: &Arc<Visits>) -> Visit {
        let before = visits.accepted.fetch_add(1, Ordering::Relaxed);
        Visit { visits: visits.clone(), line: before as usize % LINES, volume: Volume::default() }
    }

    #[inline]
    pub(crate) fn add_up(&mut self) {
        self.visits.lines[self.line].add(&std::mem::take(&mut self.volume));
    }

    pub(crate) fn was_idle(&self) {
        self.visits.closed_idle.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.add_up();
        self.visits.closed.fetch_add(1, Ordering::Release);
    }
}
