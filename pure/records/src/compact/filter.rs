//! A batch with fewer records.
//!
//! What stays is copied as it lies: offsets and times of records are relative to the head, which keeps its own. Only where
//! the batch gets a delete horizon, which takes the place of the base timestamp, are the times written anew. A batch of
//! which everything stays is not touched at all.

use super::verdict::{Keep, Pass, Stay, Verdict};
use crate::build::{put_varint, seal, varint_bytes};
use crate::codec::{Codec, Scratch};
use crate::header::{BatchHeader, HEADER_BYTES, NO_TIMESTAMP};
use crate::read::{ReadError, records};
use crate::walk::{self, Malformed, Plain, Source};

/// A whole batch, its CRC compared, and what unpacking it may take.
#[derive(Clone, Copy, Debug)]
pub struct CompactBatch<'a> {
    pub batch: &'a [u8],
    pub verdict: Verdict,
    pub unpacked_bytes_max: usize,
}

/// What came of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Compacted {
    pub fate: Fate,
    pub records_read: u64,
    pub records_kept: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Gone,
    /// To be kept as it is.
    Same,
    /// Another takes its place: what was written.
    Changed,
}

/// What stays of the records, before it is packed.
#[derive(Default)]
struct Kept {
    bytes: Vec<u8>,
    records: i32,
    max_timestamp: i64,
    has_tombstone: bool,
}

impl Pass<'_> {
    /// Leaves of a batch what is to stay: `newest` tells the newest offset of a key. A batch that changes is put into `out`.
    pub fn compact(
        &self,
        batch: CompactBatch<'_>,
        newest: impl Fn(&[u8]) -> Option<i64>,
        scratch: &mut Scratch,
        out: &mut Vec<u8>,
    ) -> Result<Compacted, ReadError> {
        let CompactBatch { batch, verdict, unpacked_bytes_max } = batch;
        out.clear();
        let mut header = BatchHeader::parse(batch)?;
        let records_read = u64::try_from(header.record_count).unwrap_or(0);
        let compacted = |fate, records_kept| Ok(Compacted { fate, records_read, records_kept });
        if verdict.records == Stay::None && verdict.keep == Keep::WithRecords {
            return compacted(Fate::Gone, 0);
        }
        let mut kept = Kept { max_timestamp: NO_TIMESTAMP, ..Kept::default() };
        if verdict.records != Stay::None {
            let mut records = records(batch, unpacked_bytes_max, scratch)?;
            while let Some(record) = records.next_with_bytes() {
                let (record, bytes) = record?;
                let stays = verdict.records == Stay::All || self.stays(&header, &record, record.key.and_then(&newest));
                if stays {
                    kept.bytes.extend_from_slice(bytes);
                    kept.records += 1;
                    kept.max_timestamp = kept.max_timestamp.max(record.timestamp);
                    kept.has_tombstone |= record.value.is_none();
                }
            }
        }
        if kept.records == 0 {
            if verdict.keep == Keep::WithRecords {
                return compacted(Fate::Gone, 0);
            }
            put_empty(&header, out);
            return compacted(if out == batch { Fate::Same } else { Fate::Changed }, 0);
        }
        let records_kept = u64::from(kept.records.unsigned_abs());
        let gets_horizon = (kept.has_tombstone || verdict.waits) && header.delete_horizon().is_none();
        if kept.records == header.record_count && !gets_horizon {
            return compacted(Fate::Same, records_kept);
        }
        let codec = header.attributes.codec().ok_or(ReadError::Codec { id: header.attributes.codec_id() })?;
        if gets_horizon {
            kept.bytes = with_base_timestamp(&kept.bytes, header.base_timestamp, self.horizon())?;
            header.base_timestamp = self.horizon();
            header.attributes = header.attributes.with_delete_horizon();
        }
        header.max_timestamp = kept.max_timestamp;
        header.record_count = kept.records;
        out.resize(HEADER_BYTES, 0);
        codec.pack(&kept.bytes, out);
        seal(&mut header, out);
        compacted(Fate::Changed, records_kept)
    }
}

/// A batch of no records, as Kafka writes it.
fn put_empty(header: &BatchHeader, out: &mut Vec<u8>) {
    let mut header = BatchHeader { base_timestamp: NO_TIMESTAMP, record_count: 0, ..*header };
    header.attributes = header.attributes.with_codec(Codec::None).without_delete_horizon();
    out.resize(HEADER_BYTES, 0);
    seal(&mut header, out);
}

/// The same records in a batch whose times count from `to`, not `from`.
fn with_base_timestamp(records: &[u8], from: i64, to: i64) -> Result<Vec<u8>, Malformed> {
    let mut moved = Vec::with_capacity(records.len() + records.len() / 8);
    let mut source = Plain::new(records);
    while !source.is_at_end()? {
        let length = walk::length(source.varint()?)?;
        let mut fields = Plain::new(source.take(length)?);
        let attributes = fields.byte()?;
        let timestamp_delta = from.wrapping_add(fields.varlong()?).wrapping_sub(to);
        let rest = fields.rest();
        put_varint(&mut moved, (1 + varint_bytes(timestamp_delta) + rest.len()) as i64);
        moved.push(attributes);
        put_varint(&mut moved, timestamp_delta);
        moved.extend_from_slice(rest);
    }
    Ok(moved)
}

#[cfg(test)]
mod tests {
    use super::super::{Aborted, Transactions};
    use super::*;
    use crate::build::{BatchBuilder, BatchOptions, Header, NewRecord};
    use crate::crc::crc_of;
    use crate::header::Attributes;

    const NEWEST: Verdict = Verdict { records: Stay::Newest, keep: Keep::WithRecords, waits: false };

    /// Key and value.
    type Fields<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

    type Read = Vec<(i64, i64, Option<Vec<u8>>, Option<Vec<u8>>)>;

    fn read(batch: &[u8]) -> Read {
        let mut scratch = Scratch::new();
        let own = |field: Option<&[u8]>| field.map(<[u8]>::to_vec);
        records(batch, usize::MAX, &mut scratch)
            .unwrap()
            .map(|record| record.unwrap())
            .inspect(|record| assert!(record.offset != 102 || record.headers().len() == 1))
            .map(|record| (record.offset, record.timestamp, own(record.key), own(record.value)))
            .collect()
    }

    /// Offsets 100 to 105 of keys a, b, -, c, a, b; the last two are tombstones.
    fn batch(codec: Codec) -> Vec<u8> {
        let options = BatchOptions {
            base_offset: 100,
            leader_epoch: 7,
            attributes: Attributes::default().with_codec(codec),
            producer_id: 3,
            producer_epoch: 1,
            base_sequence: 40,
        };
        let mut builder = BatchBuilder::new(options);
        let header = [Header { key: b"h", value: Some(b"v") }];
        let value = [b'x'; 300];
        let fields: [Fields<'_>; 6] = [
            (Some(b"a"), Some(&value)),
            (Some(b"b"), Some(&value)),
            (None, Some(b"no key")),
            (Some(b"c"), Some(b"")),
            (Some(b"a"), None),
            (Some(b"b"), None),
        ];
        for (i, (key, value)) in fields.into_iter().enumerate() {
            let headers = if i == 2 { &header[..] } else { &[] };
            builder.push(&NewRecord { timestamp: 5000 - 10 * i as i64, key, value, headers });
        }
        builder.finish()
    }

    struct Case {
        now_wall_ms: i64,
        known_to: i64,
        verdict: Verdict,
        newest: [i64; 3],
    }

    impl Case {
        /// What is left of a batch; `None` if nothing is.
        fn run(&self, batch: &[u8]) -> (Fate, Option<Vec<u8>>) {
            let pass = Pass {
                now_wall_ms: self.now_wall_ms,
                delete_retention_ms: 500,
                known_to: self.known_to,
                last_batches: &[],
                aborted: &Aborted::default(),
                transactions: Transactions::default(),
            };
            let newest = |key: &[u8]| {
                let offset = self.newest[usize::from(key[0] - b'a')];
                (offset >= 0).then_some(offset)
            };
            let mut out = vec![1; 7];
            let batch = CompactBatch { batch, verdict: self.verdict, unpacked_bytes_max: 1 << 20 };
            let compacted = pass.compact(batch, newest, &mut Scratch::new(), &mut out).unwrap();
            let left = match compacted.fate {
                Fate::Gone => None,
                Fate::Same => Some(batch.batch.to_vec()),
                Fate::Changed => Some(out),
            };
            if let Some(left) = &left {
                let (before, after) = (BatchHeader::parse(batch.batch).unwrap(), BatchHeader::parse(left).unwrap());
                assert_eq!((after.size_bytes(), after.crc), (left.len(), crc_of(left)));
                assert_eq!(compacted.records_kept, after.record_count as u64);
                let same = |header: BatchHeader| BatchHeader {
                    batch_length: 0,
                    crc: 0,
                    attributes: Attributes(0),
                    record_count: 0,
                    base_timestamp: 0,
                    max_timestamp: 0,
                    ..header
                };
                assert_eq!(same(before), same(after));
            }
            (compacted.fate, left)
        }
    }

    const KEPT: Case = Case { now_wall_ms: 1000, known_to: 1000, verdict: NEWEST, newest: [-1; 3] };

    #[test]
    fn the_newest_of_each_key_stays_with_its_offset_and_time() {
        for codec in [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
            let batch = batch(codec);
            let all = read(&batch);
            let check = |case: Case, offsets: &[i64]| {
                let (fate, left) = case.run(&batch);
                let left = left.unwrap();
                let expected: Read = all.iter().filter(|record| offsets.contains(&record.0)).cloned().collect();
                assert_eq!(read(&left), expected, "{codec:?}");
                let header = BatchHeader::parse(&left).unwrap();
                assert_eq!((header.attributes.codec(), fate), (Some(codec), Fate::Changed));
                assert_eq!(header.max_timestamp, expected.iter().map(|record| record.1).max().unwrap());
                header
            };
            // A record that is as new as the newest that is known stays, older ones go.
            let header = check(Case { newest: [104, 200, 103], ..KEPT }, &[103, 104]);
            assert_eq!(header.delete_horizon(), Some(1500));
            let header = check(Case { newest: [104, 105, 103], ..KEPT }, &[103, 104, 105]);
            assert_eq!(header.delete_horizon(), Some(1500));
            let header = check(Case { newest: [200, 200, 103], ..KEPT }, &[103]);
            assert_eq!(header.delete_horizon(), None, "no tombstone is left");
            // Nothing is known of what comes behind, and of keys that were not met.
            check(Case { newest: [200, 200, 200], known_to: 102, ..KEPT }, &[102, 103, 104, 105]);
            check(Case { newest: [-1, 200, -1], ..KEPT }, &[100, 103, 104]);
        }
    }

    #[test]
    fn tombstones_go_when_their_horizon_has_come() {
        for codec in [Codec::None, Codec::Lz4] {
            let newest = [104, 105, 103];
            let first = Case { newest, ..KEPT }.run(&batch(codec)).1.unwrap();
            // Once a horizon is set it stays, and so does the batch.
            let (fate, again) = Case { newest, now_wall_ms: 1499, ..KEPT }.run(&first);
            assert_eq!((fate, again.as_ref()), (Fate::Same, Some(&first)));
            let (fate, last) = Case { newest, now_wall_ms: 1500, ..KEPT }.run(&first);
            let last = last.unwrap();
            assert_eq!(fate, Fate::Changed);
            assert_eq!(read(&last), [(103, 4970, Some(b"c".to_vec()), Some(Vec::new()))]);
            assert_eq!(BatchHeader::parse(&last).unwrap().delete_horizon(), Some(1500));
        }
    }

    #[test]
    fn a_batch_of_which_all_stays_is_not_touched() {
        let mut builder = BatchBuilder::new(BatchOptions::default());
        builder.push(&NewRecord { key: Some(b"a"), value: Some(b"1"), ..NewRecord::default() });
        let plain = builder.finish();
        assert_eq!(KEPT.run(&plain), (Fate::Same, Some(plain)));
        let case = Case { newest: [200; 3], ..KEPT };
        assert_eq!(case.run(&batch(Codec::Zstd)), (Fate::Gone, None));
    }

    #[test]
    fn a_batch_is_kept_without_records_where_it_must_be() {
        let batch = batch(Codec::Zstd);
        for records in [Stay::Newest, Stay::None] {
            let verdict = Verdict { records, keep: Keep::Always, waits: false };
            let case = Case { verdict, newest: [200; 3], ..KEPT };
            let (fate, empty) = case.run(&batch);
            let empty = empty.unwrap();
            assert_eq!((fate, empty.len()), (Fate::Changed, HEADER_BYTES));
            let header = BatchHeader::parse(&empty).unwrap();
            assert_eq!((header.base_timestamp, header.max_timestamp, header.record_count), (-1, 5000, 0));
            assert_eq!((header.last_offset(), header.last_sequence(), header.attributes), (105, 45, Attributes(0)));
            assert_eq!(case.run(&empty), (Fate::Same, Some(empty.clone())));
            assert_eq!(Case { newest: [200; 3], ..KEPT }.run(&empty), (Fate::Gone, None));
            let with_horizon = Case { newest: [104, 200, 103], ..KEPT }.run(&batch).1.unwrap();
            assert_eq!(case.run(&with_horizon).1.unwrap()[21..35], empty[21..35], "no horizon");
        }
        let gone = Case { verdict: Verdict { records: Stay::None, ..NEWEST }, ..KEPT };
        assert_eq!(gone.run(&batch), (Fate::Gone, None));
    }

    #[test]
    fn a_marker_of_nothing_gets_a_horizon() {
        let attributes = Attributes::default().with_transactional().with_control();
        let mut builder = BatchBuilder::new(BatchOptions { attributes, producer_id: 1, ..BatchOptions::default() });
        builder.push(&NewRecord { timestamp: 77, key: Some(&[0, 0, 0, 1]), value: Some(&[0; 6]), headers: &[] });
        let marker = builder.finish();
        let stays = Verdict { records: Stay::All, keep: Keep::WithRecords, waits: false };
        assert_eq!(Case { verdict: stays, ..KEPT }.run(&marker).0, Fate::Same);
        let waits = Case { verdict: Verdict { waits: true, ..stays }, ..KEPT };
        let (fate, waiting) = waits.run(&marker);
        let waiting = waiting.unwrap();
        let header = BatchHeader::parse(&waiting).unwrap();
        assert_eq!((fate, header.delete_horizon(), header.max_timestamp), (Fate::Changed, Some(1500), 77));
        assert_eq!(read(&waiting)[0].1, 77);
        assert_eq!(waits.run(&waiting).0, Fate::Same);
    }

    #[test]
    fn the_time_of_the_append_stays() {
        let mut stored = batch(Codec::None);
        let mut header = BatchHeader::parse(&stored).unwrap();
        header.attributes = header.attributes.with_log_append_time();
        header.max_timestamp = 9999;
        seal(&mut header, &mut stored);
        let left = Case { newest: [104, 200, 103], ..KEPT }.run(&stored).1.unwrap();
        assert_eq!(BatchHeader::parse(&left).unwrap().max_timestamp, 9999);
        assert!(read(&left).iter().all(|record| record.1 == 9999));
    }

    #[test]
    fn what_unpacks_to_too_much_is_an_error() {
        let batch = batch(Codec::Zstd);
        let pass = Pass {
            now_wall_ms: 0,
            delete_retention_ms: 0,
            known_to: 0,
            last_batches: &[],
            aborted: &Aborted::default(),
            transactions: Transactions::default(),
        };
        let batch = CompactBatch { batch: &batch, verdict: NEWEST, unpacked_bytes_max: 100 };
        let compacted = pass.compact(batch, |_| None, &mut Scratch::new(), &mut Vec::new());
        assert_eq!(compacted, Err(ReadError::TooLarge { bytes_max: 100 }));
    }
}
