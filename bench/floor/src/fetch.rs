//! Fetch, version 12, from one partition and without a session. The first byte is waited for, as long as the request says.

use std::io;
use std::net::TcpStream;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use rustix::fs::sendfile;
use rustix::net::{SendFlags, send};

use crate::fields::{Fields, Header, begin_reply, end_reply, put_compact_string, put_uvarint};
use crate::log::{Part, Partition};

/// From here on the kernel moves the pages; below, a copy is cheaper than a call.
const SENDFILE_BYTES: u64 = 32 << 10;

const NONE: i16 = 0;
const OFFSET_OUT_OF_RANGE: i16 = 1;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;

struct Request<'a> {
    max_wait: Duration,
    topic: &'a [u8],
    partition: i32,
    offset: i64,
    max_bytes: i32,
}

/// Adds the reply to `out`, or sends `out` and the records and leaves only the reply's end there. `None` is a request that
/// the floor does not know.
pub fn answer(
    header: Header,
    fields: Fields<'_>,
    partitions: &[Partition],
    out: &mut Vec<u8>,
    stream: &TcpStream,
) -> io::Result<Option<()>> {
    let Some(request) = read(fields) else { return Ok(None) };
    let (error, end, part) = find(&request, partitions);
    let bytes = part.as_ref().map_or(0, |part| part.bytes);
    let start = begin_reply(out, header.correlation_id);
    out.extend_from_slice(&[0; 10]); // throttle time, error code, session id
    out.push(2); // one topic
    put_compact_string(out, request.topic);
    out.push(2); // one partition
    out.extend_from_slice(&request.partition.to_be_bytes());
    out.extend_from_slice(&error.to_be_bytes());
    out.extend_from_slice(&end.to_be_bytes()); // high watermark
    out.extend_from_slice(&end.to_be_bytes()); // last stable offset
    out.extend_from_slice(&0_i64.to_be_bytes()); // log start offset
    out.push(0); // no list of aborted transactions
    out.extend_from_slice(&(-1_i32).to_be_bytes()); // no preferred read replica
    put_uvarint(out, bytes as u32 + 1);
    const END: [u8; 3] = [0; 3]; // the partition, the topic and the reply end
    match part {
        Some(part) if part.bytes >= SENDFILE_BYTES => {
            end_reply(out, start, bytes as usize + END.len());
            send_all(stream, out)?;
            out.clear();
            send_file(stream, &part)?;
            out.extend_from_slice(&END);
        }
        Some(part) => {
            let records = out.len();
            out.resize(records + bytes as usize, 0);
            part.file.read_exact_at(&mut out[records..], part.position)?;
            out.extend_from_slice(&END);
            end_reply(out, start, 0);
        }
        None => {
            out.extend_from_slice(&END);
            end_reply(out, start, 0);
        }
    }
    Ok(Some(()))
}

fn read(mut fields: Fields<'_>) -> Option<Request<'_>> {
    let (_replica_id, max_wait_ms) = (fields.i32()?, fields.i32()?);
    fields.bytes(9)?; // min and max bytes, isolation level
    let (session_id, _session_epoch) = (fields.i32()?, fields.i32()?);
    let topics = fields.compact_len()?;
    let topic_bytes = fields.compact_len()?;
    let topic = fields.bytes(topic_bytes)?;
    let partitions = fields.compact_len()?;
    let (partition, _current_leader_epoch, offset) = (fields.i32()?, fields.i32()?, fields.i64()?);
    let (_last_fetched_epoch, _log_start_offset, max_bytes) = (fields.i32()?, fields.i64()?, fields.i32()?);
    let known = session_id == 0 && topics == 1 && partitions == 1;
    let max_wait = Duration::from_millis(max_wait_ms.max(0) as u64);
    known.then_some(Request { max_wait, topic, partition, offset, max_bytes })
}

/// The error, the end of the log, and the records.
fn find(request: &Request<'_>, partitions: &[Partition]) -> (i16, i64, Option<Part>) {
    let partition = usize::try_from(request.partition).ok().and_then(|partition| partitions.get(partition));
    let Some(partition) = partition else { return (UNKNOWN_TOPIC_OR_PARTITION, -1, None) };
    let mut log = partition.log.lock().expect("no thread panics with it");
    let until = Instant::now() + request.max_wait;
    loop {
        if let Some(part) = log.part(request.offset, request.max_bytes.max(0) as u64) {
            return (NONE, log.end(), Some(part));
        }
        if request.offset != log.end() {
            return (OFFSET_OUT_OF_RANGE, -1, None);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return (NONE, log.end(), None);
        }
        log.waiting += 1;
        log = partition.grown.wait_timeout(log, left).expect("no thread panics with it").0;
        log.waiting -= 1;
    }
}

/// Sends bytes that more will follow.
fn send_all(stream: &TcpStream, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        let sent = send(stream, bytes, SendFlags::MORE | SendFlags::NOSIGNAL)?;
        bytes = &bytes[sent..];
    }
    Ok(())
}

fn send_file(stream: &TcpStream, part: &Part) -> io::Result<()> {
    let (mut position, end) = (part.position, part.position + part.bytes);
    while position < end {
        let left = (end - position) as usize;
        if sendfile(stream, &*part.file, Some(&mut position), left)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
