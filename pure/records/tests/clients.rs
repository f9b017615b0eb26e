//! Batches of other implementations, cut out of the log of an Apache Kafka 4.3.1 broker, which had set their offset and
//! leader epoch. The same forty records each time.

use ottla_base::Now;
use ottla_records::{Codec, Header, Rules, Scratch, Sought, Stamp, TimestampType, check, find_timestamp, records};

const RULES: Rules = Rules {
    batch_bytes_max: 1_048_588,
    timestamp_type: TimestampType::CreateTime,
    timestamp_before_ms_max: i64::MAX,
    timestamp_after_ms_max: 3_600_000,
    key_required: false,
};
const BASE_TIMESTAMP: i64 = 1_700_000_000_000;

fn key(i: usize) -> Option<Vec<u8>> {
    (!i.is_multiple_of(5)).then(|| format!("key-{i}").into_bytes())
}

fn value(i: usize, repeats: usize) -> Option<Vec<u8>> {
    let repeats = if i.is_multiple_of(2) { repeats } else { 3 };
    let is_null = i % 7 == 3 && !i.is_multiple_of(5);
    (!is_null).then(|| (0..repeats).flat_map(|j| format!("value {} of record {i};", j % 50).into_bytes()).collect())
}

#[test]
fn batches_of_other_implementations_are_checked_and_read() {
    let mut files = 0;
    for entry in std::fs::read_dir("tests/testdata").unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        check_fixture(&name, std::fs::read(&path).unwrap());
        files += 1;
    }
    assert_eq!(files, 21);
}

fn check_fixture(name: &str, mut batch: Vec<u8>) {
    // Offset and leader epoch as a producer sends them.
    batch[..8].fill(0);
    batch[12..16].fill(0xff);
    let codec = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd]
        .into_iter()
        .find(|codec| name.contains(&format!("{codec:?}").to_lowercase()))
        .unwrap();
    let mut scratch = Scratch::new();
    let now = Now { mono_ms: 0, wall_ms: i64::MAX / 2 };

    let header = check(&batch, &RULES, now, &mut scratch).unwrap_or_else(|refusal| panic!("{name}: {refusal}"));
    assert_eq!(header.attributes.codec(), Some(codec), "{name}");
    assert_eq!(header.record_count, 40, "{name}");
    assert_eq!(Stamp::new(&batch, &header).head().len(), 16, "{name}: nothing under the CRC changes");

    let repeats = if codec == Codec::None { 4 } else { 250 };
    let mut read = 0;
    for (i, record) in records(&batch, 1 << 20, &mut scratch).unwrap().enumerate() {
        let record = record.unwrap();
        assert_eq!(record.offset, i as i64, "{name}");
        assert_eq!(record.key, key(i).as_deref(), "{name}, record {i}");
        assert_eq!(record.value, value(i, repeats).as_deref(), "{name}, record {i}");
        let headers: Vec<_> = record.headers().collect();
        if i.is_multiple_of(3) {
            let number = i.to_string();
            assert_eq!(headers[0], Header { key: b"number", value: Some(number.as_bytes()) }, "{name}, record {i}");
            assert_eq!(headers.len(), 3, "{name}, record {i}");
            assert!(headers[1].key == b"none" && headers[1].value.is_none_or(|value| value.is_empty()), "{name}");
        } else {
            assert_eq!(headers, [], "{name}, record {i}");
        }
        if !name.starts_with("java") {
            assert_eq!(record.timestamp, BASE_TIMESTAMP + (i as i64 * 997) % 5000, "{name}, record {i}");
        }
        read += 1;
    }
    assert_eq!(read, 40, "{name}");

    let found =
        find_timestamp(&batch, Sought { timestamp: header.max_timestamp, offset: 0 }, &mut scratch).unwrap().unwrap();
    assert_eq!(found.timestamp, header.max_timestamp, "{name}");
}
