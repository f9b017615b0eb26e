//! The replies of one connection, in the order of its requests.
//!
//! Most replies are ready at once and are written one behind the other into a single [`Out`]. One that must wait (a long
//! poll, an append that waits for a flush) takes a place of its own in the queue, and the replies behind it gather in the
//! next `Out`.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use ottla_storage::disk::DiskFile;

use crate::BoxFuture;

/// Kafka's clients have five requests in flight on a connection; more than this many that wait are not accepted.
pub(crate) const WAITING_MAX: usize = 8;

/// Bytes for the socket, with ranges of files between them.
#[derive(Default)]
pub struct Out {
    /// What goes out, except for file ranges.
    pub bytes: Vec<u8>,
    pub(crate) files: Vec<FileRange>,
}

/// A range of a file that goes out before byte `before` of [`Out::bytes`]. It keeps the file open, whatever retention does.
#[derive(Debug)]
pub(crate) struct FileRange {
    pub before: usize,
    pub file: Arc<dyn DiskFile>,
    pub range: Range<u64>,
}

impl Out {
    /// The bytes, and where file ranges are inserted among them.
    pub fn parts(&mut self) -> (&mut Vec<u8>, Files<'_>) {
        (&mut self.bytes, Files(&mut self.files))
    }

    /// Bytes that go out, those of files among them.
    pub(crate) fn size(&self) -> u64 {
        let files: u64 = self.files.iter().map(|file| file.range.end - file.range.start).sum();
        self.bytes.len() as u64 + files
    }

    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.files.is_empty()
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.files.clear();
    }
}

/// See [`Out::parts`].
#[derive(Debug)]
pub struct Files<'a>(&'a mut Vec<FileRange>);

impl Files<'_> {
    /// Inserts a range of a file at position `before` of the bytes. Ranges are given in the order of their positions.
    pub fn insert(&mut self, before: usize, file: Arc<dyn DiskFile>, range: Range<u64>) {
        debug_assert!(self.0.last().is_none_or(|last| last.before <= before));
        self.0.push(FileRange { before, file, range });
    }
}

impl std::fmt::Debug for Out {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Out({} bytes, {} file ranges)", self.bytes.len(), self.files.len())
    }
}

/// See the top of this file.
#[derive(Default)]
pub struct Replies {
    queue: VecDeque<Reply>,
    waiting: usize,
    /// Replies that have come, since somebody took that number.
    count: u64,
}

pub(crate) enum Reply {
    Ready(Out),
    Waiting(BoxFuture<Out>),
}

impl Replies {
    /// Where the next reply that is ready is appended. To be asked once for each.
    pub fn out(&mut self) -> &mut Out {
        self.count += 1;
        if !matches!(self.queue.back(), Some(Reply::Ready(_))) {
            self.queue.push_back(Reply::Ready(Out::default()));
        }
        match self.queue.back_mut() {
            Some(Reply::Ready(out)) => out,
            _ => unreachable!("pushed above"),
        }
    }

    /// Keeps the next place for a reply that comes later.
    pub fn later(&mut self, reply: BoxFuture<Out>) {
        self.forget_empty();
        self.queue.push_back(Reply::Waiting(reply));
        self.waiting += 1;
    }

    /// Appends a reply that was made elsewhere.
    pub(crate) fn push(&mut self, out: Out) {
        self.forget_empty();
        self.count += u64::from(!out.is_empty());
        self.queue.push_back(Reply::Ready(out));
    }

    /// A reply without bytes is never sent, so it must not stand before others.
    fn forget_empty(&mut self) {
        if self.queue.len() == 1 && matches!(self.first(), Some(Reply::Ready(first)) if first.is_empty()) {
            self.queue.clear();
        }
    }

    pub(crate) fn take_count(&mut self) -> u64 {
        std::mem::take(&mut self.count)
    }

    pub(crate) fn is_waiting(&self) -> bool {
        self.waiting > 0
    }

    /// As many replies wait as may: no further frame is handled.
    pub(crate) fn is_full(&self) -> bool {
        self.waiting >= WAITING_MAX
    }

    /// The first reply that has not left.
    pub(crate) fn first(&mut self) -> Option<&mut Reply> {
        self.queue.front_mut()
    }

    /// Bytes that are ready and have not left, for the limit on what gathers behind one write.
    pub(crate) fn gathered(&self) -> (usize, usize) {
        match self.queue.back() {
            Some(Reply::Ready(out)) => (out.bytes.len(), out.files.len()),
            _ => (0, 0),
        }
    }

    /// The first reply has left. Its buffers serve the next ones, unless they are large.
    pub(crate) fn sent(&mut self) {
        if let Some(Reply::Ready(mut out)) = self.queue.pop_front()
            && self.queue.is_empty()
            && out.bytes.capacity() <= KEPT_BYTES_MAX
        {
            out.clear();
            self.queue.push_back(Reply::Ready(out));
        }
    }

    /// The first reply, which waited, is ready.
    pub(crate) fn came(&mut self, out: Out) {
        self.waiting -= 1;
        self.count += 1;
        if let Some(first) = self.queue.front_mut() {
            *first = Reply::Ready(out);
        }
    }

    /// Nothing waits to be sent: gives back what an idle connection should not hold.
    pub(crate) fn shrink(&mut self) {
        let is_small = |out: &Out| out.bytes.capacity() <= IDLE_BYTES_MAX && out.files.capacity() <= IDLE_FILES_MAX;
        match self.queue.front() {
            Some(Reply::Ready(out)) if is_small(out) && self.queue.capacity() <= IDLE_QUEUE_MAX => {}
            _ => self.queue = VecDeque::new(),
        }
    }
}

/// A reply buffer of at most this capacity is used again within a connection's busy time.
const KEPT_BYTES_MAX: usize = 64 << 10;
/// What an idle connection keeps: room for the replies of a few small requests, which come again.
const IDLE_BYTES_MAX: usize = 768;
const IDLE_FILES_MAX: usize = 4;
const IDLE_QUEUE_MAX: usize = 4;

impl std::fmt::Debug for Replies {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Replies({} queued, {} waiting)", self.queue.len(), self.waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_that_waits_is_first_when_all_before_it_have_left() {
        let mut replies = Replies::default();
        replies.out().bytes.push(1);
        replies.sent();
        replies.shrink();
        replies.later(Box::pin(std::future::pending()));
        assert!(matches!(replies.first(), Some(Reply::Waiting(_))));
    }

    #[test]
    fn an_idle_connection_keeps_small_buffers_and_no_large_ones() {
        let kept_after = |bytes: usize| {
            let mut replies = Replies::default();
            (0..bytes).for_each(|_| replies.out().bytes.push(0));
            replies.sent();
            replies.shrink();
            replies.queue.front().map_or(0, |reply| match reply {
                Reply::Ready(out) => out.bytes.capacity(),
                Reply::Waiting(_) => unreachable!("there is none"),
            })
        };
        assert_eq!([400, 5000].map(kept_after), [512, 0]);
    }
}
