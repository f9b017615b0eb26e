//! The one seam between a connection and what carries it.

use std::io;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};

use ottla_storage::disk::DiskFile;
use rustix::net::SendFlags;
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

use crate::memory::MemoryStream;

/// A connection's byte stream.
#[derive(Debug)]
pub(crate) struct Stream {
    carrier: Carrier,
    writes: Arc<Writes>,
}

/// TLS becomes another variant.
#[derive(Debug)]
pub(crate) enum Carrier {
    Tcp(TcpStream),
    Mem(MemoryStream),
}

/// How writing goes, for one who looks on while the stream is lent out: a count of how often a write has begun or ended.
#[derive(Debug, Default)]
pub(crate) struct Writes(AtomicU64);

impl Writes {
    /// Only the stream writes here, so this need not be one step.
    fn count(&self) {
        self.0.store(self.0.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
    }

    /// `None` while nothing is being written; else a number that stays the same as long as nothing gets through.
    pub(crate) fn pending(&self) -> Option<u64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|count| count % 2 == 1)
    }
}

impl Stream {
    pub(crate) fn new(carrier: Carrier) -> Stream {
        Stream { carrier, writes: Arc::default() }
    }

    pub(crate) fn into_carrier(self) -> Carrier {
        self.carrier
    }

    pub(crate) fn writes(&self) -> Arc<Writes> {
        self.writes.clone()
    }

    /// Waits until a read would not wait (or the peer has closed), without holding a buffer.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match &self.carrier {
            // Its `readable` is ready also where tokio has a task give way and a read is not: who tries one after the other
            // would go round without end.
            Carrier::Tcp(tcp) => std::future::poll_fn(|cx| tcp.poll_read_ready(cx)).await,
            Carrier::Mem(mem) => mem.readable().await,
        }
    }

    /// Reads what there is into the spare capacity of `buffer`, at most `most` bytes. 0 = the peer has closed.
    pub(crate) async fn read(&mut self, buffer: &mut Vec<u8>, most: usize) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_read(cx, buffer, most)).await
    }

    /// The same, of what is there at once: `None` where that is nothing.
    pub(crate) async fn read_at_once(&mut self, buffer: &mut Vec<u8>, most: usize) -> Option<io::Result<usize>> {
        let tried = std::future::poll_fn(|cx| Poll::Ready(self.poll_read(cx, buffer, most)));
        match tried.await {
            Poll::Ready(read) => Some(read),
            Poll::Pending => None,
        }
    }

    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>, most: usize) -> Poll<io::Result<usize>> {
        let most = most.min(buffer.capacity() - buffer.len());
        let mut read = ReadBuf::uninit(&mut buffer.spare_capacity_mut()[..most]);
        ready!(match &mut self.carrier {
            Carrier::Tcp(tcp) => Pin::new(tcp).poll_read(cx, &mut read),
            Carrier::Mem(mem) => Pin::new(mem).poll_read(cx, &mut read),
        })?;
        let n = read.filled().len();
        // SAFETY: the first `n` bytes of the spare capacity are filled, and so initialised: that is what `ReadBuf` keeps.
        unsafe { buffer.set_len(buffer.len() + n) };
        Poll::Ready(Ok(n))
    }

    pub(crate) async fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            self.writes.count();
            let n = std::future::poll_fn(|cx| match &mut self.carrier {
                Carrier::Tcp(tcp) => Pin::new(tcp).poll_write(cx, bytes),
                Carrier::Mem(mem) => Pin::new(mem).poll_write(cx, bytes),
            })
            .await?;
            self.writes.count();
            if n == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            bytes = &bytes[n..];
        }
        Ok(())
    }
}

impl Stream {
    /// Has small writes leave at once.
    pub(crate) fn set_nodelay(&self) -> io::Result<()> {
        match &self.carrier {
            Carrier::Tcp(tcp) => tcp.set_nodelay(true),
            Carrier::Mem(_) => Ok(()),
        }
    }

    pub(crate) fn has_sendfile(&self) -> bool {
        match &self.carrier {
            Carrier::Tcp(_) => true,
            Carrier::Mem(_) => false,
        }
    }

    /// Writes bytes that more will follow at once, so that they leave in one packet with it.
    pub(crate) async fn write_more(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let Carrier::Tcp(tcp) = &self.carrier else { return self.write_all(bytes).await };
        while !bytes.is_empty() {
            self.writes.count();
            let n = tcp.async_io(Interest::WRITABLE, || Ok(rustix::net::send(tcp, bytes, SendFlags::MORE)?)).await?;
            self.writes.count();
            bytes = &bytes[n..];
        }
        Ok(())
    }

    /// Sends the beginning of a range from the page cache; gives how many bytes went. 0 = the file is shorter.
    pub(crate) async fn sendfile(&mut self, file: &dyn DiskFile, range: Range<u64>) -> io::Result<u64> {
        let Carrier::Tcp(tcp) = &self.carrier else { return Err(io::ErrorKind::Unsupported.into()) };
        let fd = file.raw_fd().ok_or(io::ErrorKind::Unsupported)?;
        self.writes.count();
        let sent = tcp.async_io(Interest::WRITABLE, || {
            let mut at = range.start;
            Ok(rustix::fs::sendfile(tcp, fd, Some(&mut at), (range.end - range.start) as usize)? as u64)
        });
        let bytes = sent.await?;
        self.writes.count();
        Ok(bytes)
    }
}
