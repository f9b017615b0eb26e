//! Sends a reply: bytes, and ranges of files between them.
//!
//! On plain TCP a range above [`SENDFILE_BYTES_MIN`] goes from the page cache to the socket by `sendfile`; below that a
//! copy into the reply costs less than another system call and leaves in the same write. A page that is not in memory
//! would block the worker inside either call, so a cold range is first read on a blocking thread.

use std::io::{self, ErrorKind};
use std::ops::Range;
use std::sync::Arc;

use ottla_rt::Rt;
use ottla_storage::disk::{DiskFile, Wait};

use crate::replies::{FileRange, Out};
use crate::stream::Stream;
use crate::{BoxFuture, Shared};

/// Measured with batches of 16 KiB: `sendfile` costs a tenth more, for it takes two more sends.
const SENDFILE_BYTES_MIN: u64 = 32 << 10;
/// What is copied before it is written.
const COPIED_BYTES_MAX: usize = 64 << 10;
/// A cold range is read, and sent, in steps of this size.
const STEP_BYTES: u64 = 1 << 20;

/// A range that was promised in a reply's length and is not there cannot be mended: it is an error, and the connection is
/// closed.
pub(crate) async fn send(shared: &Shared, stream: &mut Stream, out: &mut Out) -> io::Result<()> {
    if out.files.is_empty() {
        return stream.write_all(&out.bytes).await;
    }
    let mut copied = shared.pool.take();
    let sent = send_pieces(&shared.rt, stream, out, &mut copied).await;
    shared.pool.give_back(copied);
    sent
}

async fn send_pieces(rt: &Rt, stream: &mut Stream, out: &mut Out, copied: &mut Vec<u8>) -> io::Result<()> {
    let mut at = 0;
    for FileRange { before, file, range } in out.files.drain(..) {
        gather(stream, copied, &out.bytes[at..before]).await?;
        at = before;
        if stream.has_sendfile() && file.raw_fd().is_some() && range.end - range.start >= SENDFILE_BYTES_MIN {
            stream.write_more(copied).await?;
            copied.clear();
            send_file(rt, stream, &file, range).await?;
        } else {
            copy(rt, stream, copied, &file, range).await?;
        }
    }
    gather(stream, copied, &out.bytes[at..]).await?;
    stream.write_all(copied).await
}

/// Adds bytes to what leaves with the next write.
async fn gather(stream: &mut Stream, copied: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    if copied.len() + bytes.len() > COPIED_BYTES_MAX {
        stream.write_all(copied).await?;
        copied.clear();
    }
    if bytes.len() > COPIED_BYTES_MAX {
        return stream.write_all(bytes).await;
    }
    copied.extend_from_slice(bytes);
    Ok(())
}

async fn copy(
    rt: &Rt,
    stream: &mut Stream,
    copied: &mut Vec<u8>,
    file: &Arc<dyn DiskFile>,
    mut range: Range<u64>,
) -> io::Result<()> {
    while !range.is_empty() {
        if copied.len() == COPIED_BYTES_MAX {
            stream.write_all(copied).await?;
            copied.clear();
        }
        let n = (range.end - range.start).min((COPIED_BYTES_MAX - copied.len()) as u64);
        let start = copied.len();
        copied.resize(start + n as usize, 0);
        let read = file.read_at(&mut copied[start..], range.start, Wait::No);
        copied.truncate(start + read.as_ref().map_or(0, |n| *n));
        match read {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => range.start += n as u64,
            Err(e) if e.kind() == ErrorKind::WouldBlock => warm(rt, file, range.start..range.start + n).await?,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

async fn send_file(rt: &Rt, stream: &mut Stream, file: &Arc<dyn DiskFile>, mut range: Range<u64>) -> io::Result<()> {
    let mut warm_to = range.start;
    while !range.is_empty() {
        let step = range.start..range.end.min(range.start + STEP_BYTES);
        if warm_to < step.end {
            if !file.is_resident(step.clone()) {
                warm(rt, file, step.clone()).await?;
            }
            warm_to = step.end;
        }
        match stream.sendfile(&**file, step).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            n => range.start += n,
        }
    }
    Ok(())
}

/// Brings a range into memory, on a thread that may wait for the disk. Most connections never need it, so it has no room in them.
fn warm(rt: &Rt, file: &Arc<dyn DiskFile>, range: Range<u64>) -> BoxFuture<io::Result<()>> {
    let (rt, file) = (rt.clone(), file.clone());
    let read = move || {
        let mut buffer = vec![0; COPIED_BYTES_MAX];
        let mut at = range.start;
        while at < range.end {
            match file.read_at(&mut buffer, at, Wait::Yes)? {
                0 => break,
                n => at += n as u64,
            }
        }
        Ok(())
    };
    Box::pin(async move { rt.blocking(read).await })
}
