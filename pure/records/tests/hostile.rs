//! What a leader must refuse, and what it must take although it looks odd.

mod raw;

use std::io::Write;

use ottla_base::Now;
use ottla_records::{
    Codec, Damage, HeaderFault, Malformed, RECORD_FAULTS_MAX, RecordCause, Refusal, Rules, Scratch, TimestampType,
    check,
};
use raw::{Raw, RawRecord, packed, plain, record, uvarint, varint};

const HOUR_MS: i64 = 3_600_000;
const NOW: Now = Now { mono_ms: 0, wall_ms: 1_700_000_000_000 };
const RULES: Rules = Rules {
    batch_bytes_max: 1_048_588,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_ms_max: i64::MAX,
    timestamp_after_ms_max: HOUR_MS,
    key_required: false,
};

fn judge(batch: &[u8]) -> Result<i64, Refusal> {
    check(batch, &RULES, NOW, &mut Scratch::new()).map(|header| header.max_timestamp)
}

fn accepted(what: &str, batch: &Raw) {
    if let Err(refusal) = judge(&batch.bytes()) {
        panic!("{what}: {refusal}");
    }
}

/// Refused, and an error for whoever reads it nevertheless.
fn malformed(what: &str, batch: &Raw, expected: impl Into<Malformed>) {
    let (batch, expected) = (batch.bytes(), expected.into());
    match judge(&batch) {
        Err(Refusal::Malformed { fault, .. }) => assert_eq!(fault, expected, "{what}"),
        other => panic!("{what}: {other:?}"),
    }
    // Offsets with gaps are legal in a stored batch: compaction leaves them.
    if expected != Malformed::OffsetDelta {
        let mut scratch = Scratch::new();
        let reads = ottla_records::records(&batch, 1 << 30, &mut scratch);
        assert!(reads.is_err() || reads.unwrap().any(|record| record.is_err()), "{what}: read");
    }
}

fn records(count: i64) -> Vec<u8> {
    (0..count).flat_map(record).collect()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

/// The framing of snappy-java around these blocks.
fn chunks(blocks: &[&[u8]]) -> Vec<u8> {
    let mut body = b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01".to_vec();
    for block in blocks {
        body.extend((block.len() as i32).to_be_bytes());
        body.extend(*block);
    }
    body
}

fn snappy(body: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(body).unwrap()
}

fn lz4(body: &[u8], frame: lz4_flex::frame::FrameInfo) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::with_frame_info(frame, Vec::new());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn lz4_plain(body: &[u8]) -> Vec<u8> {
    lz4(body, lz4_flex::frame::FrameInfo::new())
}

fn zstd(body: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(body, 3).unwrap()
}

#[test]
fn bytes_that_are_not_one_batch_are_refused() {
    let good = plain(&records(3), 3).bytes();
    let mut cases: Vec<Vec<u8>> =
        [0, 1, 11, 12, 17, 60, 61, good.len() - 1].iter().map(|&cut| good[..cut].into()).collect();
    cases.extend([[&good[..], &good].concat(), [&good[..], &[0; 61]].concat(), [&good[..], &[0; 5]].concat()]);
    for length in [0, -1, i32::MIN, 1, 48, 49, 60, good.len() as i32 - 13, good.len() as i32 - 11, i32::MAX] {
        cases.push(Raw { batch_length: Some(length), ..plain(&records(3), 3) }.bytes());
    }
    for case in cases {
        let bytes = case.len();
        assert_eq!(judge(&case), Err(Refusal::NotOneBatch { bytes }), "{case:02x?}");
    }
}

#[test]
fn other_magics_are_refused() {
    for magic in [0, 1, 3, -1, 127] {
        let batch = Raw { magic: Some(magic as u8), ..plain(&records(1), 1) };
        assert_eq!(judge(&batch.bytes()), Err(Refusal::Magic(magic)));
    }
}

#[test]
fn any_changed_bit_under_the_crc_is_refused() {
    let good = plain(&records(3), 3).bytes();
    for at in 17..good.len() {
        let mut changed = good.clone();
        changed[at] ^= 1;
        assert!(matches!(judge(&changed), Err(Refusal::Crc { .. })), "byte {at}");
    }
}

#[test]
fn the_size_limit_is_that_of_the_whole_batch() {
    let batch = plain(&records(3), 3).bytes();
    let bytes_max = batch.len() as u32;
    let with = |batch_bytes_max| check(&batch, &Rules { batch_bytes_max, ..RULES }, NOW, &mut Scratch::new());
    assert!(with(bytes_max).is_ok());
    let refused = Refusal::TooLarge { bytes: batch.len(), bytes_max: bytes_max - 1 };
    assert_eq!(with(bytes_max - 1), Err(refused));
}

#[test]
fn headers_that_contradict_themselves_are_refused() {
    let one = || plain(&records(1), 1);
    let cases = [
        (Raw { base_offset: 1, ..one() }, HeaderFault::BaseOffset(1)),
        (Raw { base_offset: -5, ..one() }, HeaderFault::BaseOffset(-5)),
        (Raw { attributes: 0x20, ..one() }, HeaderFault::Control),
        (Raw { attributes: 0x30, ..one() }, HeaderFault::Control),
        (Raw { attributes: 0x40, ..one() }, HeaderFault::DeleteHorizon),
        (Raw { attributes: 0x10, ..one() }, HeaderFault::TransactionWithoutProducer),
    ];
    for (batch, fault) in cases {
        assert_eq!(judge(&batch.bytes()), Err(fault.into()), "{batch:?}");
    }
    for (count, last_offset_delta) in
        [(0, -1), (0, 0), (-1, 0), (i32::MIN, i32::MAX), (3, 0), (3, 1), (3, 3), (3, -1), (3, i32::MAX), (3, i32::MIN)]
    {
        let batch = Raw { last_offset_delta: Some(last_offset_delta), ..plain(&records(3), count) };
        let fault = HeaderFault::Count { record_count: count, last_offset_delta };
        assert_eq!(judge(&batch.bytes()), Err(fault.into()));
    }
    for producer in [(7, -1, 0), (7, 0, -1), (7, -2, -2), (0, i16::MIN, 0), (i64::MAX, 0, -5)] {
        let (producer_id, producer_epoch, base_sequence) = producer;
        let batch = Raw { producer: Some(producer), ..one() };
        let fault = HeaderFault::Producer { producer_id, producer_epoch, base_sequence };
        assert_eq!(judge(&batch.bytes()), Err(fault.into()));
    }
}

#[test]
fn odd_headers_that_kafka_takes_are_taken() {
    let one = || plain(&records(1), 1);
    accepted("an unused attribute", &Raw { attributes: 0x80, ..one() });
    accepted("an idempotent producer", &Raw { producer: Some((0, 0, i32::MAX)), ..one() });
    accepted("a transaction", &Raw { attributes: 0x10, producer: Some((0, 0, 0)), ..one() });
    accepted("epoch and sequence without a producer", &Raw { producer: Some((-1, 3, 3)), ..one() });
}

#[test]
fn codecs_that_do_not_exist_are_refused() {
    for id in 5..8 {
        let batch = Raw { attributes: id, ..plain(&records(1), 1) };
        assert_eq!(judge(&batch.bytes()), Err(Refusal::Codec { id: id as u8 }));
    }
}

#[test]
fn counts_that_lie_are_refused() {
    malformed("fewer records", &plain(&records(3), 4), Malformed::Cut);
    malformed("more records", &plain(&records(3), 2), Malformed::Trailing);
    malformed("a billion", &plain(&records(3), 1_000_000_000), Malformed::Cut);
    malformed("fewer records, packed", &packed(Codec::Gzip, &gzip(&records(3)), 4), Malformed::Cut);
    malformed("more records, packed", &packed(Codec::Gzip, &gzip(&records(3)), 2), Malformed::Trailing);
}

#[test]
fn offset_deltas_are_consecutive() {
    for deltas in [[0, 2, 1], [0, 0, 0], [-1, 0, 1], [0, 1, 1000], [i64::from(i32::MIN), 0, 2], [1, 2, 3]] {
        let body: Vec<u8> = deltas.into_iter().flat_map(record).collect();
        malformed(&format!("{deltas:?}"), &plain(&body, 3), Malformed::OffsetDelta);
        malformed(&format!("{deltas:?}, packed"), &packed(Codec::Gzip, &gzip(&body), 3), Malformed::OffsetDelta);
    }
}

#[test]
fn lengths_inside_records_that_lie_are_refused() {
    let v = RawRecord { value: b"v", ..RawRecord::default() };
    let headers = |bytes: &[u8]| RawRecord { headers: Some(bytes), ..v }.bytes();
    let length = |length: i64| [&varint(length)[..], &record(0)[1..]].concat();
    let billions = i64::from(i32::MAX);
    let cases = [
        ("record length + 1", RawRecord { length_error: 1, ..v }.bytes(), Malformed::RecordLength),
        ("record length - 1", RawRecord { length_error: -1, ..v }.bytes(), Malformed::RecordLength),
        ("record length 2^31-1", length(billions), Malformed::RecordLength),
        (
            "a byte after the headers",
            [&RawRecord { length_error: 1, ..v }.bytes()[..], &[0]].concat(),
            Malformed::RecordLength,
        ),
        ("record length -1", length(-1), Malformed::NegativeLength),
        ("record length 0", varint(0), Malformed::Cut),
        ("no record", vec![], Malformed::Cut),
        ("an endless number", vec![0xff; 30], Malformed::Varint),
        ("a number of 33 bits", [&[0x80, 0x80, 0x80, 0x80, 0x10][..], &record(0)[1..]].concat(), Malformed::Varint),
        ("value past the end", RawRecord { value_length: Some(1000), ..v }.bytes(), Malformed::Cut),
        ("value of 2^31-1", RawRecord { value_length: Some(billions), ..v }.bytes(), Malformed::Cut),
        ("value of -2", RawRecord { value_length: Some(-2), ..v }.bytes(), Malformed::NegativeLength),
        ("value of 2^31", RawRecord { value_length: Some(billions + 1), ..v }.bytes(), Malformed::Varint),
        ("header count -1", headers(&varint(-1)), Malformed::HeaderCount),
        ("header count 2^31-1", headers(&varint(billions)), Malformed::Cut),
        ("null header key", headers(&[2, 1, 0]), Malformed::NegativeLength),
        ("header value past the end", headers(&[2, 2, b'k', 0x7e]), Malformed::Cut),
        ("bytes after the record", [&record(0)[..], &[0, 0, 0]].concat(), Malformed::Trailing),
    ];
    for (what, body, fault) in cases {
        malformed(what, &plain(&body, 1), fault);
        malformed(&format!("{what}, packed"), &packed(Codec::Gzip, &gzip(&body), 1), fault);
    }
}

#[test]
fn a_field_must_not_reach_into_the_next_record() {
    // The value of the first takes the second record's first bytes; what follows happens to parse.
    let first = [&varint(7)[..], &[0, 0, 0, 1], &varint(3), b"v", &[0]].concat();
    let body = [&first[..], &record(1)].concat();
    assert!(matches!(judge(&plain(&body, 2).bytes()), Err(Refusal::Malformed { index: 0, .. })));
}

#[test]
fn longer_forms_of_numbers_are_taken() {
    let body = [&[0x8e, 0x80, 0x80, 0x00][..], &record(0)[1..]].concat();
    accepted("seven in four bytes", &plain(&body, 1));
}

#[test]
fn packed_bodies_that_are_not_their_codec_are_refused() {
    let body = records(50);
    let forms = [
        (Codec::Gzip, gzip(&body)),
        (Codec::Snappy, chunks(&[&snappy(&body)])),
        (Codec::Snappy, snappy(&body)),
        (Codec::Lz4, lz4_plain(&body)),
        (Codec::Zstd, zstd(&body)),
    ];
    for (codec, good) in &forms {
        accepted("as it should be", &packed(*codec, good, 50));
        let mut bad = vec![vec![], body.clone(), vec![0; 100], vec![0xff; 100]];
        bad.extend((0..good.len()).map(|cut| good[..cut].to_vec()));
        bad.push([&good[..], b"hello"].concat());
        bad.push([&good[..], &[0; 100]].concat());
        bad.extend(forms.iter().filter(|(other, _)| other != codec).map(|(_, form)| form.clone()));
        for body in bad {
            let refusal = judge(&packed(*codec, &body, 50).bytes());
            assert!(matches!(refusal, Err(Refusal::Malformed { .. })), "{codec:?} {body:02x?}: {refusal:?}");
        }
    }
}

#[test]
fn claims_of_packed_bodies_take_no_memory() {
    let zstd_frame = |rest: &[u8]| [&b"\x28\xb5\x2f\xfd"[..], rest].concat();
    let cases = [
        (Codec::Snappy, [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\x7f\xff\xff\xff"[..], b"abc"].concat()),
        (Codec::Snappy, chunks(&[&[&uvarint(i32::MAX as u64)[..], b"\0x\0x"].concat()])),
        (Codec::Snappy, [&uvarint(u64::from(u32::MAX))[..], b"\0x"].concat()),
        (Codec::Snappy, chunks(&[b""])),
        (Codec::Snappy, [&b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01\xff\xff\xff\xfb"[..], b"abcdef"].concat()),
        (Codec::Zstd, zstd_frame(b"\xe0\0\0\0\0\0\0\0\x10\x0b\0\0x")),
        (Codec::Zstd, zstd_frame(b"\0\xa8\x0b\0\0x")),
        (Codec::Zstd, zstd_frame(b"\0\xff\x0b\0\0x")),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x70\x73\xff\xff\xff\x7fabc".to_vec()),
        (Codec::Lz4, b"\x04\x22\x4d\x18\x60\x70\x73\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
    ];
    for (codec, body) in cases {
        let mut scratch = Scratch::new();
        let refusal = check(&packed(codec, &body, 1).bytes(), &RULES, NOW, &mut scratch);
        assert!(matches!(refusal, Err(Refusal::Malformed { .. })), "{codec:?} {body:02x?}: {refusal:?}");
    }
}

#[test]
fn a_body_in_several_parts_is_one_body() {
    let (a, b) = (record(0), record(1));
    let skippable = b"\x50\x2a\x4d\x18\x03\0\0\0abc";
    accepted("gzip members", &packed(Codec::Gzip, &[gzip(&a), gzip(&b)].concat(), 2));
    accepted("a gzip member that ends in a record", &packed(Codec::Gzip, &[gzip(&a[..3]), gzip(&a[3..])].concat(), 1));
    accepted("an empty gzip member", &packed(Codec::Gzip, &[gzip(&a), gzip(b""), gzip(&b)].concat(), 2));
    accepted("zstd frames", &packed(Codec::Zstd, &[zstd(&a), zstd(&b)].concat(), 2));
    accepted("a skippable zstd frame", &packed(Codec::Zstd, &[&skippable[..], &zstd(&a)].concat(), 1));
    accepted("snappy chunks", &packed(Codec::Snappy, &chunks(&[&snappy(&a[..2]), &snappy(&a[2..]), &snappy(&b)]), 2));
    accepted("an empty snappy block", &packed(Codec::Snappy, &chunks(&[b"\0", &snappy(&a)]), 1));
    let frames = [lz4_plain(&a), lz4_plain(&b)].concat();
    malformed("LZ4 frames", &packed(Codec::Lz4, &frames, 2), Damage::Trailing);
}

#[test]
fn gzip_members_are_read_to_the_letter() {
    let good = gzip(&records(50));
    let header = |flags: u8, more: &[u8]| [&[0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 0, 3][..], more].concat();
    let checked = |head: Vec<u8>| {
        let check = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32IsoHdlc, &head) as u16;
        [&head[..], &check.to_le_bytes()].concat()
    };
    let with = |head: Vec<u8>| packed(Codec::Gzip, &[&head, &good[10..]].concat(), 50);
    accepted("text", &with(header(0x01, b"")));
    accepted("all fields", &with(checked(header(0x1f, b"\x03\0abcname\0comment\0"))));
    accepted("empty fields", &with(checked(header(0x1f, b"\0\0\0\0"))));
    malformed("a name without an end", &packed(Codec::Gzip, &header(0x08, b"name"), 50), Damage::Cut);
    malformed("a long extra", &with(header(0x04, b"\xff\xff")), Damage::Cut);
    malformed("reserved flags", &with(header(0x20, b"")), Damage::Garbled);
    malformed("header check", &with(header(0x02, b"\0\0")), Damage::Checksum);
    for (what, at) in [("CRC", good.len() - 8), ("length", good.len() - 1)] {
        let mut body = good.clone();
        body[at] ^= 1;
        malformed(what, &packed(Codec::Gzip, &body, 50), Damage::Checksum);
    }
}

#[test]
fn lz4_frames_are_read_to_the_letter() {
    use lz4_flex::frame::{BlockMode, BlockSize, FrameInfo};
    let body: Vec<u8> = (0..30_000).flat_map(record).collect();
    let frame = || FrameInfo::new().block_mode(BlockMode::Independent).block_size(BlockSize::Max64KB);
    let all = frame().block_checksums(true).content_checksum(true).content_size(Some(body.len() as u64));
    for (what, frame) in [
        ("several blocks", frame()),
        ("blocks of 4 MiB", frame().block_size(BlockSize::Max4MB)),
        ("all checksums", all.clone()),
    ] {
        accepted(what, &packed(Codec::Lz4, &lz4(&body, frame), 30_000));
    }
    let damaged = |frame, at: fn(usize) -> usize| {
        let mut packed = lz4(&body, frame);
        let at = at(packed.len());
        packed[at] ^= 1;
        packed
    };
    let linked = lz4(&body, frame().block_mode(BlockMode::Linked));
    malformed("linked blocks", &packed(Codec::Lz4, &linked, 30_000), Damage::Feature);
    for (what, body, damage) in [
        ("header checksum", damaged(frame(), |_| 6), Damage::Checksum),
        ("content checksum", damaged(all.clone(), |length| length - 1), Damage::Checksum),
        ("block checksum", damaged(all.clone(), |_| 500), Damage::Checksum),
        ("content size", damaged(all.clone(), |_| 6), Damage::Checksum),
    ] {
        malformed(what, &packed(Codec::Lz4, &body, 30_000), damage);
    }
    let value = [7; 66_000];
    let large = RawRecord { value: &value, ..RawRecord::default() }.bytes();
    let stored = [&lz4(b"", frame())[..7], &(large.len() as u32 | 1 << 31).to_le_bytes(), &large, &[0; 4]].concat();
    malformed("a block above 64 KiB", &packed(Codec::Lz4, &stored, 1), Damage::Garbled);
    // Content sizes that lie, under a right header checksum.
    for lie in [0, 1, body.len() as u64 - 1, body.len() as u64 + 1, u64::MAX] {
        let body = lz4(&body, all.clone());
        let mut head = body[..14].to_vec();
        head[6..].copy_from_slice(&lie.to_le_bytes());
        head.push((twox_hash::XxHash32::oneshot(0, &head[4..]) >> 8) as u8);
        let body = [&head[..], &body[15..]].concat();
        malformed(&format!("content size {lie}"), &packed(Codec::Lz4, &body, 30_000), Damage::Garbled);
    }
}

#[test]
fn a_record_may_be_larger_than_any_buffer() {
    let value = vec![0; 64 << 20];
    let body = [RawRecord { value: &value, ..RawRecord::default() }.bytes(), record(1)].concat();
    let blocks: Vec<Vec<u8>> = body.chunks(1 << 20).map(snappy).collect();
    let blocks: Vec<&[u8]> = blocks.iter().map(Vec::as_slice).collect();
    let rules = Rules { batch_bytes_max: 16 << 20, ..RULES };
    let mut scratch = Scratch::new();
    for (codec, body) in [
        (Codec::Gzip, gzip(&body)),
        (Codec::Snappy, chunks(&blocks)),
        (Codec::Lz4, lz4_plain(&body)),
        (Codec::Zstd, zstd(&body)),
    ] {
        let batch = packed(codec, &body, 2).bytes();
        assert!(batch.len() < 4 << 20, "{codec:?}: {} bytes", batch.len());
        check(&batch, &rules, NOW, &mut scratch).unwrap_or_else(|refusal| panic!("{codec:?}: {refusal}"));
    }
}

#[test]
fn a_large_zstd_window_is_granted_to_little_data() {
    let body = |value_bytes: usize| {
        let value: Vec<u8> = (0..value_bytes).map(|i| (i % 251) as u8).collect();
        RawRecord { value: &value, ..RawRecord::default() }.bytes()
    };
    let large_window = |body: &[u8]| {
        let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap(); // that of level 22
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    };
    let little = large_window(&body(1 << 20));
    assert_eq!(little[5], 0x88, "the head claims a window of 128 MiB");
    accepted("a MiB", &packed(Codec::Zstd, &little, 1));
    malformed("20 MiB", &packed(Codec::Zstd, &large_window(&body(20 << 20)), 1), Damage::Memory);
    accepted("20 MiB in a usual window", &packed(Codec::Zstd, &zstd(&body(20 << 20)), 1));
}

#[test]
fn timestamps_are_held_to_the_topics_range() {
    let day = 24 * HOUR_MS;
    let rules = Rules { timestamp_before_ms_max: day, ..RULES };
    let now = NOW.wall_ms;
    let timestamps_of = |base_timestamp: i64, timestamp_delta: i64, rules: &Rules| {
        let body = RawRecord { timestamp_delta, value: b"v", ..RawRecord::default() }.bytes();
        let batch = Raw { base_timestamp, ..plain(&body, 1) };
        check(&batch.bytes(), rules, NOW, &mut Scratch::new())
    };
    for (timestamp, max) in [(now, now), (now - day, now - day), (now + HOUR_MS, now + HOUR_MS), (-1, -1)] {
        let header = timestamps_of(timestamp - 5, 5, &rules).unwrap();
        assert_eq!(header.max_timestamp, max);
    }
    for (base, delta, rules) in [
        (now - day, -1, &rules),
        (now, HOUR_MS + 1, &rules),
        (0, 0, &rules),
        (-2, 0, &rules),
        (i64::MAX, 0, &RULES),
        (i64::MIN, 0, &RULES),
        (i64::MAX, 1 << 40, &RULES),
        (i64::MIN, -1, &RULES),
        (i64::MAX, 1, &Rules { timestamp_after_ms_max: i64::MAX, ..RULES }),
    ] {
        match timestamps_of(base, delta, rules) {
            Err(Refusal::Records { faults, total: 1 }) => {
                assert_eq!(faults[0].cause, RecordCause::Timestamp(base.saturating_add(delta)));
            }
            other => panic!("{base} + {delta}: {other:?}"),
        }
        let by_append = Rules { timestamp_type: TimestampType::LogAppendTime, ..*rules };
        assert!(timestamps_of(base, delta, &by_append).is_ok(), "the producer's time does not matter");
    }
    assert!(timestamps_of(-5, 0, &RULES).is_ok(), "as Kafka");
}

#[test]
fn a_producer_must_not_say_log_append_time() {
    let batch = Raw { attributes: 0x08, ..plain(&records(1), 1) }.bytes();
    for timestamp_type in [TimestampType::CreateTime, TimestampType::LogAppendTime] {
        let rules = Rules { timestamp_type, ..RULES };
        assert_eq!(check(&batch, &rules, NOW, &mut Scratch::new()), Err(Refusal::LogAppendTime));
    }
}

#[test]
fn records_at_fault_are_listed_up_to_a_number() {
    let rules = Rules { key_required: true, ..RULES };
    let keyed = RawRecord { offset_delta: 1, timestamp_delta: HOUR_MS + 1, key: Some(b"k"), ..RawRecord::default() };
    let body = [record(0), keyed.bytes(), record(2)].concat();
    let batch = Raw { base_timestamp: NOW.wall_ms, ..plain(&body, 3) }.bytes();
    let Err(Refusal::Records { faults, total }) = check(&batch, &rules, NOW, &mut Scratch::new()) else {
        panic!("not refused");
    };
    let causes: Vec<_> = faults.iter().map(|fault| (fault.index, fault.cause)).collect();
    let late = RecordCause::Timestamp(NOW.wall_ms + HOUR_MS + 1);
    assert_eq!(causes, [(0, RecordCause::MissingKey), (1, late), (2, RecordCause::MissingKey)]);
    assert_eq!(total, 3);

    let many = plain(&records(100_000), 100_000).bytes();
    let Err(Refusal::Records { faults, total }) = check(&many, &rules, NOW, &mut Scratch::new()) else {
        panic!("not refused");
    };
    assert_eq!((faults.len(), total), (RECORD_FAULTS_MAX, 100_000));
}

#[test]
fn an_empty_key_is_a_key() {
    let rules = Rules { key_required: true, ..RULES };
    let body = RawRecord { key: Some(b""), ..RawRecord::default() }.bytes();
    assert!(check(&plain(&body, 1).bytes(), &rules, NOW, &mut Scratch::new()).is_ok());
}
