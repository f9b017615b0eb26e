//! The bytes of a metadata snapshot: an image as batches, between a header and a footer (KIP-630).
//!
//! Kafka's `bootstrap.checkpoint` and the `0-0` checkpoint of its `format` are files of the same kind. The offset of a record
//! is its place in the file. A file that was cut, or has any byte wrong, is found out before a record of it is used: every
//! batch has a CRC, and only the footer is last.

use std::iter;

use ottla_metadata::{Image, Record, RecordError};
use ottla_records::{Attributes, BatchBuilder, BatchHeader, BatchOptions, NewRecord, Scratch, crc_of, records};
use ottla_wire::DecodeError;
use ottla_wire::records::ControlRecord;
use ottla_wire::records::control::{SnapshotFooterRecord, SnapshotHeaderRecord};

use super::quorum::Quorum;

/// A batch is closed when it has so many bytes.
const BATCH_BYTES: usize = 1 << 20;
/// Largest batch that is unpacked. Kafka's have 8 MiB at most, and are not packed.
const UNPACKED_BYTES_MAX: usize = 64 << 20;

/// What is written down in a snapshot beside the image.
#[derive(Clone, Debug)]
pub struct Head {
    pub quorum: Quorum,
    /// Of the last record in it.
    pub epoch: i32,
    pub timestamp: i64,
}

/// A snapshot that was read.
#[derive(Debug)]
pub struct Contents {
    pub quorum: Quorum,
    pub timestamp: i64,
    pub records: Vec<Record>,
}

/// Why a snapshot cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// An older one may be good.
    #[error("it is damaged at byte {position}: {what}")]
    Damaged { position: usize, what: &'static str },
    /// It is whole, and not for us.
    #[error("at offset {offset}: {cause}")]
    Record { offset: i64, cause: RecordError },
    #[error("at offset {offset}: {cause}")]
    Control { offset: i64, cause: DecodeError },
}

/// The pieces of the file, in order. Each is a batch.
pub fn batches(image: &Image, head: Head) -> impl Iterator<Item = Vec<u8>> {
    let header = SnapshotHeaderRecord { last_contained_log_timestamp: head.timestamp, ..Default::default() };
    let first: Vec<_> = iter::once(ControlRecord::SnapshotHeader(header)).chain(head.quorum.records()).collect();
    let mut last = Some(ControlRecord::SnapshotFooter(SnapshotFooterRecord::default()));
    let mut writer = Writer { head, next_offset: 0 };
    let first = writer.control(&first);
    let mut records = image.records().peekable();
    iter::once(first).chain(iter::from_fn(move || match records.peek() {
        Some(_) => Some(writer.data(&mut records)),
        None => last.take().map(|footer| writer.control(&[footer])),
    }))
}

struct Writer {
    head: Head,
    next_offset: i64,
}

impl Writer {
    fn control(&mut self, records: &[ControlRecord]) -> Vec<u8> {
        let mut batch = self.batch(Attributes::default().with_control());
        for record in records {
            let (key, value) = (record.encode_key(), record.encode_value());
            let timestamp = self.head.timestamp;
            batch.push(&NewRecord { timestamp, key: Some(&key), value: Some(&value), ..NewRecord::default() });
        }
        self.finish(batch)
    }

    fn data(&mut self, records: &mut impl Iterator<Item = Record>) -> Vec<u8> {
        let mut batch = self.batch(Attributes::default());
        let mut value = Vec::new();
        for record in records {
            value.clear();
            record.encode(&mut value);
            let timestamp = self.head.timestamp;
            batch.push(&NewRecord { timestamp, value: Some(&value), ..NewRecord::default() });
            if batch.size_bytes() >= BATCH_BYTES {
                break;
            }
        }
        self.finish(batch)
    }

    fn batch(&self, attributes: Attributes) -> BatchBuilder {
        let (base_offset, leader_epoch) = (self.next_offset, self.head.epoch);
        BatchBuilder::new(BatchOptions { base_offset, leader_epoch, attributes, ..BatchOptions::default() })
    }

    fn finish(&mut self, batch: BatchBuilder) -> Vec<u8> {
        self.next_offset += i64::from(batch.record_count());
        batch.finish()
    }
}

/// Reads a file, which must be whole.
pub fn read(bytes: &[u8]) -> Result<Contents, SnapshotError> {
    let damaged = |position, what| SnapshotError::Damaged { position, what };
    let mut contents = Contents { quorum: Quorum::default(), timestamp: 0, records: Vec::new() };
    let (mut position, mut is_begun, mut is_ended) = (0, false, false);
    let mut scratch = Scratch::default();
    while position < bytes.len() {
        let rest = &bytes[position..];
        let batch = BatchHeader::parse(rest).ok().and_then(|header| Some((header, rest.get(..header.size_bytes())?)));
        let (header, batch) = batch.ok_or(damaged(position, "there is no whole batch"))?;
        if crc_of(batch) != header.crc {
            return Err(damaged(position, "the CRC of a batch is wrong"));
        }
        if is_ended {
            return Err(damaged(position, "it goes on behind its footer"));
        }
        let unreadable = damaged(position, "a batch cannot be read");
        let Ok(all) = records(batch, UNPACKED_BYTES_MAX, &mut scratch) else { return Err(unreadable) };
        for record in all {
            let Ok(record) = record else { return Err(unreadable) };
            let (offset, value) = (record.offset, record.value.unwrap_or_default());
            if !header.attributes.is_control() {
                let record = Record::decode(value).map_err(|cause| SnapshotError::Record { offset, cause })?;
                contents.records.push(record);
                continue;
            }
            let key = record.key.unwrap_or_default();
            let control = ControlRecord::decode(key, value);
            match control.map_err(|cause| SnapshotError::Control { offset, cause })? {
                ControlRecord::SnapshotHeader(header) => {
                    is_begun = true;
                    contents.timestamp = header.last_contained_log_timestamp;
                }
                ControlRecord::SnapshotFooter(_) => is_ended = true,
                other => contents.quorum.note(other),
            }
        }
        if !is_begun {
            return Err(damaged(position, "it has no header"));
        }
        position += batch.len();
    }
    if is_ended { Ok(contents) } else { Err(damaged(position, "it has no footer")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_base::Uuid;
    use ottla_machine::At;
    use ottla_wire::records::TopicRecord;
    use ottla_wire::records::control::{KRaftVersionRecord, VotersRecord};

    fn image(topics: u8) -> Image {
        let mut image = Image::default();
        for id in 0..topics {
            let name = format!("{id:0>20000}").into();
            let record = Record::Topic(TopicRecord { name, topic_id: Uuid([id; 16]), ..Default::default() });
            image.apply(At { offset: 7 }, &record).unwrap();
        }
        image
    }

    fn head() -> Head {
        let mut quorum = Quorum::default();
        quorum.note(ControlRecord::KRaftVersion(KRaftVersionRecord { kraft_version: 1, ..Default::default() }));
        quorum.note(ControlRecord::KRaftVoters(VotersRecord::default()));
        Head { quorum, epoch: 3, timestamp: 1_767_225_600_000 }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for topics in [0, 1, 200] {
            let image = image(topics);
            let pieces: Vec<_> = batches(&image, head()).collect();
            let headers = pieces.iter().map(|piece| BatchHeader::parse(piece).unwrap());
            let mut next_offset = 0;
            for (header, piece) in headers.zip(&pieces) {
                assert_eq!((header.base_offset, header.leader_epoch), (next_offset, 3));
                assert!(piece.len() < BATCH_BYTES + 30_000);
                next_offset = header.next_offset();
            }
            assert_eq!(next_offset, 3 + i64::from(topics) + 1);
            let contents = read(&pieces.concat()).unwrap();
            assert_eq!((contents.quorum, contents.timestamp), (head().quorum, head().timestamp));
            assert_eq!(contents.records, image.records().collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_file_that_is_not_whole_is_not_used() {
        let pieces: Vec<_> = batches(&image(1), head()).collect();
        let whole = pieces.concat();
        let is_damaged = |bytes: &[u8]| matches!(read(bytes), Err(SnapshotError::Damaged { .. }));
        for end in [0, 10, pieces[0].len(), whole.len() - pieces[2].len(), whole.len() - 1] {
            assert!(is_damaged(&whole[..end]), "cut at {end}");
        }
        for at in [8, 17, 70, pieces[0].len() + 100, whole.len() - 1] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            assert!(is_damaged(&bytes), "byte {at}");
        }
        assert!(is_damaged(&pieces[1..].concat()), "no header");
        assert!(is_damaged(&[&whole[..], &pieces[1]].concat()), "more behind the footer");
    }
}
