//! What holds for all batches: built, checked, stamped and read they are the same; spoilt they are refused.

use ottla_base::Now;
use ottla_records::{
    Attributes, BatchBuilder, BatchHeader, BatchOptions, Codec, HEADER_BYTES, Header, NewRecord, Refusal, Rules,
    Scratch, Sought, Stamp, TimestampType, check, crc_of, find_timestamp, next_sequence, records,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

const NOW: Now = Now { mono_ms: 0, wall_ms: 2_000_000_000_000 };
const RULES: Rules = Rules {
    batch_bytes_max: 64 << 20,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_ms_max: i64::MAX,
    timestamp_after_ms_max: 0,
    key_required: false,
};

type Bytes = Vec<u8>;

/// A record that owns what it says.
#[derive(Clone, Debug, PartialEq)]
struct Owned {
    timestamp: i64,
    key: Option<Bytes>,
    value: Option<Bytes>,
    headers: Vec<(Bytes, Option<Bytes>)>,
}

#[derive(Clone, Debug)]
struct Sample {
    records: Vec<Owned>,
    options: BatchOptions,
}

impl Sample {
    fn build(&self) -> Bytes {
        let mut builder = BatchBuilder::new(self.options);
        for record in &self.records {
            let headers: Vec<Header<'_>> =
                record.headers.iter().map(|(key, value)| Header { key, value: value.as_deref() }).collect();
            builder.push(&NewRecord {
                timestamp: record.timestamp,
                key: record.key.as_deref(),
                value: record.value.as_deref(),
                headers: &headers,
            });
        }
        builder.finish()
    }

    fn max_timestamp(&self) -> i64 {
        self.records.iter().map(|record| record.timestamp).max().unwrap()
    }
}

fn bytes() -> impl Strategy<Value = Bytes> {
    prop_oneof![
        8 => vec(any::<u8>(), 0..50),
        // Much that packs well, so that records and blocks straddle the pieces of an unpacked body.
        2 => (any::<u8>(), 0..200_000usize).prop_map(|(byte, length)| (0..length).map(|i| byte ^ (i / 7) as u8).collect()),
    ]
}

fn owned() -> impl Strategy<Value = Owned> {
    let timestamp = prop_oneof![Just(-1), 0..=NOW.wall_ms];
    let headers = vec((vec(any::<u8>(), 0..10), option::of(vec(any::<u8>(), 0..10))), 0..4);
    (timestamp, option::of(bytes()), option::of(bytes()), headers).prop_map(|(timestamp, key, value, headers)| Owned {
        timestamp,
        key,
        value,
        headers,
    })
}

fn codec() -> impl Strategy<Value = Codec> {
    prop::sample::select(vec![Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd])
}

fn sample() -> impl Strategy<Value = Sample> {
    let producer = option::of((0..=i64::MAX, 0..=i16::MAX, 0..=i32::MAX));
    (vec(owned(), 1..20), codec(), producer, any::<bool>()).prop_map(|(records, codec, producer, in_transaction)| {
        let mut options =
            BatchOptions { attributes: Attributes::default().with_codec(codec), ..BatchOptions::default() };
        if let Some((id, epoch, sequence)) = producer {
            (options.producer_id, options.producer_epoch, options.base_sequence) = (id, epoch, sequence);
            if in_transaction {
                options.attributes = options.attributes.with_transactional();
            }
        }
        Sample { records, options }
    })
}

fn read(batch: &[u8]) -> Vec<Owned> {
    let owned = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    records(batch, 64 << 20, &mut Scratch::new())
        .unwrap()
        .map(|record| {
            let record = record.unwrap();
            let headers = record.headers().map(|header| (header.key.to_vec(), owned(header.value))).collect();
            Owned { timestamp: record.timestamp, key: owned(record.key), value: owned(record.value), headers }
        })
        .collect()
}

/// The bytes that a log gets.
fn stored(batch: &[u8], header: &BatchHeader) -> Bytes {
    let stamp = Stamp::new(batch, header);
    [stamp.head(), stamp.body(batch)].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn what_is_built_is_accepted_and_read(sample in sample()) {
        let batch = sample.build();
        let header = check(&batch, &RULES, NOW, &mut Scratch::new()).unwrap();
        prop_assert_eq!(header.crc, crc32c::crc32c(&batch[21..]));
        prop_assert_eq!(header.max_timestamp, sample.max_timestamp());
        prop_assert_eq!(header, BatchHeader::parse(&batch).unwrap());
        prop_assert_eq!(header.size_bytes(), batch.len());
        let last = sample.records.len() as i32 - 1;
        prop_assert_eq!(header.last_offset(), i64::from(last));
        if header.is_idempotent() {
            prop_assert_eq!(header.last_sequence(), next_sequence(header.base_sequence, last));
        } else {
            prop_assert_eq!(header.last_sequence(), -1);
        }
        prop_assert_eq!(read(&batch), sample.records);
    }

    #[test]
    fn a_stamp_sets_offset_and_epoch_and_nothing_else(sample in sample(), base_offset in 0..=i64::MAX, leader_epoch in 0..=i32::MAX) {
        let batch = sample.build();
        let mut header = check(&batch, &RULES, NOW, &mut Scratch::new()).unwrap();
        (header.base_offset, header.leader_epoch) = (base_offset, leader_epoch);
        let stored = stored(&batch, &header);
        prop_assert_eq!(Stamp::new(&batch, &header).head().len(), 16);
        prop_assert_eq!(BatchHeader::parse(&stored).unwrap(), header);
        prop_assert_eq!(&stored[16..], &batch[16..]);
    }

    #[test]
    fn log_append_time_changes_type_and_max_timestamp_and_nothing_else(sample in sample()) {
        let batch = sample.build();
        let rules = Rules { timestamp_type: TimestampType::LogAppendTime, ..RULES };
        let header = check(&batch, &rules, NOW, &mut Scratch::new()).unwrap();
        let stored = stored(&batch, &header);
        let sent = BatchHeader::parse(&batch).unwrap();
        let expected = BatchHeader {
            attributes: Attributes(sent.attributes.0 | 8),
            max_timestamp: NOW.wall_ms,
            crc: crc32c::crc32c(&stored[21..]),
            ..sent
        };
        prop_assert_eq!(BatchHeader::parse(&stored).unwrap(), expected);
        prop_assert_eq!(&stored[HEADER_BYTES..], &batch[HEADER_BYTES..]);
        prop_assert!(read(&stored).iter().all(|record| record.timestamp == NOW.wall_ms));
    }

    #[test]
    fn a_max_timestamp_that_lies_is_put_right(sample in sample(), lie: i64) {
        let truth = sample.build();
        let mut batch = truth.clone();
        batch[35..43].copy_from_slice(&lie.to_be_bytes());
        let crc = crc_of(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let header = check(&batch, &RULES, NOW, &mut Scratch::new()).unwrap();
        prop_assert_eq!(stored(&batch, &header), truth);
    }

    #[test]
    fn a_time_is_found_where_reading_finds_it(sample in sample(), target in 0..=NOW.wall_ms, from: prop::sample::Index) {
        let mut sample = sample;
        sample.options.base_offset = 1000;
        let batch = sample.build();
        for target in [-1, target, sample.max_timestamp(), NOW.wall_ms + 1] {
            let from = from.index(sample.records.len() + 1);
            let expected = sample.records.iter().skip(from).position(|record| record.timestamp >= target);
            let expected = expected.map(|index| from + index);
            let sought = Sought { timestamp: target, offset: 1000 + from as i64 };
            let found = find_timestamp(&batch, sought, &mut Scratch::new()).unwrap();
            prop_assert_eq!(found.map(|found| found.offset), expected.map(|index| 1000 + index as i64));
            prop_assert_eq!(found.map(|found| found.timestamp), expected.map(|index| sample.records[index].timestamp));
        }
    }

    #[test]
    fn a_part_is_never_accepted(sample in sample(), at: prop::sample::Index) {
        let batch = sample.build();
        let part = &batch[..at.index(batch.len())];
        let refused = matches!(check(part, &RULES, NOW, &mut Scratch::new()), Err(Refusal::NotOneBatch { .. }));
        prop_assert!(refused);
    }

    #[test]
    fn a_changed_byte_is_never_accepted(sample in sample(), at: prop::sample::Index, change in 1..=255u8) {
        let mut batch = sample.build();
        let at = at.index(batch.len());
        batch[at] ^= change;
        let is_leader_epoch = (12..16).contains(&at);
        prop_assert_eq!(check(&batch, &RULES, NOW, &mut Scratch::new()).is_ok(), is_leader_epoch);
    }

    /// Under a right CRC anything may stand. It must not panic, and what is accepted must be read without an error.
    #[test]
    fn anything_under_a_right_crc_is_refused_or_read(
        sample in sample(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        in_header: bool,
    ) {
        let mut batch = sample.build();
        for (at, byte) in changes {
            let from = if in_header { 21 } else { HEADER_BYTES };
            let at = from + at.index(batch.len() - from);
            batch[at] = byte;
        }
        let crc = crc_of(&batch);
        batch[17..21].copy_from_slice(&crc.to_be_bytes());
        let mut scratch = Scratch::new();
        if let Ok(header) = check(&batch, &RULES, NOW, &mut scratch) {
            let count = records(&batch, usize::MAX, &mut scratch).unwrap().map(Result::unwrap).count();
            prop_assert_eq!(count, header.record_count as usize);
        } else if let Ok(records) = records(&batch, 64 << 20, &mut scratch) {
            records.for_each(drop);
        }
        let _ = find_timestamp(&batch, Sought { timestamp: 0, offset: 0 }, &mut scratch);
    }

    #[test]
    fn the_crc_is_crc_32c(bytes in vec(any::<u8>(), 21..5000)) {
        prop_assert_eq!(crc_of(&bytes), crc32c::crc32c(&bytes[21..]));
    }
}

#[test]
fn a_scratch_serves_any_codec_after_any_other() {
    let codecs = [Codec::Zstd, Codec::Lz4, Codec::None, Codec::Snappy, Codec::Gzip, Codec::Zstd, Codec::Gzip];
    let mut scratch = Scratch::new();
    for codec in codecs {
        let attributes = Attributes::default().with_codec(codec);
        let mut builder = BatchBuilder::new(BatchOptions { attributes, ..BatchOptions::default() });
        for i in 0..1000 {
            builder.push(&NewRecord { timestamp: i, value: Some(&[7; 500]), ..NewRecord::default() });
        }
        let batch = builder.finish();
        check(&batch, &RULES, NOW, &mut scratch).unwrap();
        if codec != Codec::None {
            // Leaves a decoder in the middle of a body.
            let mut cut = batch[..batch.len() - 9].to_vec();
            cut[8..12].copy_from_slice(&(batch.len() as i32 - 9 - 12).to_be_bytes());
            let crc = crc_of(&cut);
            cut[17..21].copy_from_slice(&crc.to_be_bytes());
            assert!(check(&cut, &RULES, NOW, &mut scratch).is_err(), "{codec:?}");
        }
    }
}

#[test]
fn what_unpacks_to_too_much_is_not_read() {
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let attributes = Attributes::default().with_codec(codec);
        let mut builder = BatchBuilder::new(BatchOptions { attributes, ..BatchOptions::default() });
        builder.push(&NewRecord { value: Some(&[0; 100_000]), ..NewRecord::default() });
        let batch = builder.finish();
        let mut scratch = Scratch::new();
        let error = records(&batch, 100_000, &mut scratch).unwrap_err();
        assert_eq!(error.to_string(), "the records unpack to more than 100000 bytes", "{codec:?}");
        assert_eq!(records(&batch, 101_000, &mut scratch).unwrap().count(), 1, "{codec:?}");
    }
}
