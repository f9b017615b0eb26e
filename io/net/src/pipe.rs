//! A pipe of bytes in memory, bounded: a quarter of a connection of the simulation.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[derive(Debug)]
pub(crate) struct Pipe {
    capacity: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    bytes: VecDeque<u8>,
    end: Option<End>,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Nothing more is written; what is in it can be read.
    Closed,
    /// Whoever touches it gets an error.
    Cut,
}

impl Pipe {
    pub fn new(capacity: usize) -> Pipe {
        Pipe { capacity, state: Mutex::default() }
    }

    /// Waits until a read would not.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut state = self.state();
        match state.end {
            Some(End::Cut) => Poll::Ready(Err(ErrorKind::ConnectionReset.into())),
            None if state.bytes.is_empty() => {
                state.reader = Some(cx.waker().clone());
                Poll::Pending
            }
            Some(End::Closed) | None => Poll::Ready(Ok(())),
        }
    }

    /// Gives some bytes, at most `most`; none at the end.
    pub fn poll_read(&self, cx: &mut Context<'_>, most: usize) -> Poll<io::Result<Vec<u8>>> {
        std::task::ready!(self.poll_readable(cx))?;
        let mut state = self.state();
        let count = state.bytes.len().min(most);
        let read = state.bytes.drain(..count).collect();
        wake(state.writer.take());
        Poll::Ready(Ok(read))
    }

    pub fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut state = self.state();
        if state.end.is_some() {
            return Poll::Ready(Err(ErrorKind::BrokenPipe.into()));
        }
        let count = bytes.len().min(self.capacity - state.bytes.len());
        if count == 0 && !bytes.is_empty() {
            state.writer = Some(cx.waker().clone());
            return Poll::Pending;
        }
        state.bytes.extend(&bytes[..count]);
        wake(state.reader.take());
        Poll::Ready(Ok(count))
    }

    /// The writer has written all.
    pub fn close(&self) {
        self.end(End::Closed);
    }

    /// It is broken, or nobody reads it any more.
    pub fn cut(&self) {
        self.end(End::Cut);
    }

    fn end(&self, end: End) {
        let mut state = self.state();
        if state.end != Some(End::Cut) {
            state.end = Some(end);
        }
        wake(state.reader.take());
        wake(state.writer.take());
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cx() -> Context<'static> {
        Context::from_waker(Waker::noop())
    }

    fn read(pipe: &Pipe, most: usize) -> Poll<Result<Vec<u8>, ErrorKind>> {
        pipe.poll_read(&mut cx(), most).map_err(|error| error.kind())
    }

    fn write(pipe: &Pipe, bytes: &[u8]) -> Poll<Result<usize, ErrorKind>> {
        pipe.poll_write(&mut cx(), bytes).map_err(|error| error.kind())
    }

    #[test]
    fn it_holds_so_much_and_gives_it_in_order() {
        let pipe = Pipe::new(4);
        assert_eq!(read(&pipe, 9), Poll::Pending);
        assert_eq!(write(&pipe, b"abcdef"), Poll::Ready(Ok(4)));
        assert_eq!(write(&pipe, b"ef"), Poll::Pending);
        assert_eq!(read(&pipe, 1), Poll::Ready(Ok(b"a".to_vec())));
        assert_eq!(write(&pipe, b"ef"), Poll::Ready(Ok(1)));
        assert_eq!(read(&pipe, 9), Poll::Ready(Ok(b"bcde".to_vec())));
    }

    #[test]
    fn closed_it_is_read_to_its_end_and_cut_it_is_not() {
        let pipe = Pipe::new(4);
        assert_eq!(write(&pipe, b"ab"), Poll::Ready(Ok(2)));
        pipe.close();
        assert_eq!(write(&pipe, b"c"), Poll::Ready(Err(ErrorKind::BrokenPipe)));
        assert_eq!(read(&pipe, 9), Poll::Ready(Ok(b"ab".to_vec())));
        assert_eq!(read(&pipe, 9), Poll::Ready(Ok(Vec::new())));
        pipe.cut();
        assert_eq!(read(&pipe, 9), Poll::Ready(Err(ErrorKind::ConnectionReset)));
    }
}
