//! Produce, versions 9 to 12, of one batch to one partition.

use std::io;
use std::ops::Range;

use crc_fast::CrcAlgorithm::Crc32Iscsi;

use crate::fields::{Fields, Header, begin_reply, end_reply, put_compact_string};
use crate::log::{Partition, Shape};

const NONE: i16 = 0;
const CORRUPT_MESSAGE: i16 = 2;
const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
const INVALID_RECORD: i16 = 87;

/// Where in a batch its parts lie.
const BASE_OFFSET: Range<usize> = 0..8;
const LEADER_EPOCH: Range<usize> = 12..16;
const CRC: Range<usize> = 17..21;
const RECORD_COUNT: Range<usize> = 57..61;
const HEADER_BYTES: usize = 61;

struct Request {
    topic: Range<usize>,
    partition: i32,
    records: Range<usize>,
}

/// Appends the batch of a request, of which `position` bytes are read, and adds the reply. `None` is a request that the
/// floor does not know.
pub fn answer(
    header: Header,
    frame: &mut [u8],
    position: usize,
    partitions: &[Partition],
    out: &mut Vec<u8>,
) -> io::Result<Option<()>> {
    let Some(request) = read(Fields::at(frame, position)) else { return Ok(None) };
    let (error, base_offset) = append(&mut frame[request.records.clone()], request.partition, partitions)?;
    let start = begin_reply(out, header.correlation_id);
    out.push(2); // one topic
    put_compact_string(out, &frame[request.topic]);
    out.push(2); // one partition
    out.extend_from_slice(&request.partition.to_be_bytes());
    out.extend_from_slice(&error.to_be_bytes());
    out.extend_from_slice(&base_offset.to_be_bytes());
    out.extend_from_slice(&(-1_i64).to_be_bytes()); // no log append time
    out.extend_from_slice(&0_i64.to_be_bytes()); // log start offset
    out.extend_from_slice(&[1, 0, 0, 0]); // no record errors, no error message; the partition and the topic end
    out.extend_from_slice(&0_i32.to_be_bytes()); // throttle time
    out.push(0);
    end_reply(out, start, 0);
    Ok(Some(()))
}

fn read(mut fields: Fields<'_>) -> Option<Request> {
    fields.compact_len()?; // transactional id: null
    let (_acks, _timeout_ms) = (fields.i16()?, fields.i32()?);
    let topics = fields.compact_len()?;
    let topic = range(&mut fields)?;
    let partitions = fields.compact_len()?;
    let partition = fields.i32()?;
    let records = range(&mut fields)?;
    (topics == 1 && partitions == 1).then_some(Request { topic, partition, records })
}

/// Where compact bytes lie.
fn range(fields: &mut Fields<'_>) -> Option<Range<usize>> {
    let length = fields.compact_len()?;
    let start = fields.position;
    fields.bytes(length)?;
    Some(start..start + length)
}

fn append(batch: &mut [u8], partition: i32, partitions: &[Partition]) -> io::Result<(i16, i64)> {
    let Some(partition) = usize::try_from(partition).ok().and_then(|partition| partitions.get(partition)) else {
        return Ok((UNKNOWN_TOPIC_OR_PARTITION, -1));
    };
    if batch.len() < HEADER_BYTES {
        return Ok((CORRUPT_MESSAGE, -1));
    }
    let wanted = u32_at(batch, CRC);
    if crc_fast::checksum(Crc32Iscsi, &batch[CRC.end..]) != u64::from(wanted) {
        return Ok((CORRUPT_MESSAGE, -1));
    }
    let shape = Shape { bytes: batch.len() as u64, records: i64::from(u32_at(batch, RECORD_COUNT)) };
    let mut log = partition.log.lock().expect("no thread panics with it");
    let (appended, is_awaited) = (log.append(batch, shape, stamp)?, log.waiting > 0);
    drop(log);
    if is_awaited {
        partition.grown.notify_all();
    }
    Ok(appended.map_or((INVALID_RECORD, -1), |base_offset| (NONE, base_offset)))
}

/// Writes what a leader writes, outside the CRC: the base offset, and its epoch, which is 0.
fn stamp(batch: &mut [u8], base_offset: i64) {
    batch[BASE_OFFSET].copy_from_slice(&base_offset.to_be_bytes());
    batch[LEADER_EPOCH].fill(0);
}

fn u32_at(batch: &[u8], at: Range<usize>) -> u32 {
    u32::from_be_bytes(batch[at].try_into().expect("four bytes"))
}
