//! Bytes that Kafka 4.3.1 wrote into its own logs: they must be read, and written again as they were.
//!
//! `testdata/` holds logs of a node on which topics, quotas, credentials and access rules came and went, a transaction
//! ran, and three kinds of groups read. What such a node writes only now and then stands here as text.

use std::collections::BTreeSet;
use std::fmt::Debug;

use ottla_wire::records::consumer_protocol::{ConsumerProtocolAssignment, ConsumerProtocolSubscription};
use ottla_wire::records::{
    ConsumerOffsetsRecord, ControlRecord, CoordinatorRecord, MetadataRecord, ShareGroupStateRecord,
    TransactionStateRecord, decode_versioned, encode_versioned,
};
use ottla_wire::{Message, Reader, Writer};

#[test]
fn cluster_metadata() {
    let seen = check_log(include_bytes!("../testdata/cluster_metadata.log"), |_, value| {
        check_metadata(value.expect("a metadata record has a value"))
    });
    assert_eq!(
        seen,
        names(
            "AccessControlEntryRecord BeginTransactionRecord BrokerRegistrationChangeRecord ClearElrRecord \
             ClientQuotaRecord ConfigRecord EndTransactionRecord FeatureLevelRecord PartitionChangeRecord \
             PartitionRecord ProducerIdsRecord RegisterBrokerRecord RegisterControllerRecord \
             RemoveAccessControlEntryRecord RemoveTopicRecord RemoveUserScramCredentialRecord TopicRecord \
             UserScramCredentialRecord"
        )
    );
}

#[test]
fn consumer_offsets() {
    let seen = check_log(include_bytes!("../testdata/consumer_offsets.log"), |key, value| {
        let record = check_coordinator(key, value);
        if let ConsumerOffsetsRecord::GroupMetadata(_, Some(group)) = &record {
            for member in &group.members {
                check_versioned::<ConsumerProtocolSubscription>(&member.subscription);
                check_versioned::<ConsumerProtocolAssignment>(&member.assignment);
            }
        }
        name(&record)
    });
    assert_eq!(
        seen,
        names(
            "ConsumerGroupCurrentMemberAssignment ConsumerGroupMemberMetadata ConsumerGroupMetadata \
             ConsumerGroupTargetAssignmentMember ConsumerGroupTargetAssignmentMetadata GroupMetadata \
             OffsetCommit ShareGroupCurrentMemberAssignment ShareGroupMemberMetadata ShareGroupMetadata \
             ShareGroupStatePartitionMetadata ShareGroupTargetAssignmentMember \
             ShareGroupTargetAssignmentMetadata"
        )
    );
}

#[test]
fn transaction_state() {
    let seen = check_log(include_bytes!("../testdata/transaction_state.log"), |key, value| {
        name(&check_coordinator::<TransactionStateRecord>(key, value))
    });
    assert_eq!(seen, names("TransactionLog"));
}

#[test]
fn share_group_state() {
    let seen = check_log(include_bytes!("../testdata/share_group_state.log"), |key, value| {
        name(&check_coordinator::<ShareGroupStateRecord>(key, value))
    });
    assert_eq!(seen, names("ShareSnapshot ShareUpdate"));
}

#[test]
fn metadata_records_of_other_moments() {
    for (value, expected) in [
        ("01 14 00 00", "NoOpRecord"),
        ("01 0c 00 11 6d657461646174612e76657273696f6e 001e 00", "FeatureLevelRecord"),
        ("01 11 03 00000001 0000000000000013 01 03 01 01", "BrokerRegistrationChangeRecord"),
        ("01 11 00 00000001 0000000000000013 01 00 01 ff", "BrokerRegistrationChangeRecord"),
        (
            "01 03 02 00000000 00112233445566778899aabbccddeeff 02 00000001 02 00000001 01 01 00000001 00000000 \
             00000000 02 ffeeddccbbaa99887766554433221100 00",
            "PartitionRecord",
        ),
    ] {
        assert_eq!(check_metadata(&hex(value)), expected);
    }
}

#[test]
fn control_records_of_other_moments() {
    for (key, value, expected) in [
        ("0000 0000", "0000 00000000", "Abort"),
        ("0000 0001", "0000 00000000", "Commit"),
        ("0000 0002", "0000 00000001 02 00000001 00 02 00000001 00 00", "LeaderChange"),
        ("0000 0003", "0000 0000000000000000 00", "SnapshotHeader"),
        ("0000 0004", "0000 00", "SnapshotFooter"),
        (
            "0000 0006",
            "0000 02 00000001 00112233445566778899aabbccddeeff 02 0b 434f4e54524f4c4c4552 0a 3132372e302e302e31 50be \
             00 0000 0001 00 00 00",
            "KRaftVoters",
        ),
    ] {
        assert_eq!(check_control(&hex(key), &hex(value)), expected);
    }
}

/// Checks each record of a log and tells the names of all that are no control records.
fn check_log(log: &[u8], mut check: impl FnMut(&[u8], Option<&[u8]>) -> String) -> BTreeSet<String> {
    let mut seen = BTreeSet::new();
    each_record(log, |is_control, key, value| {
        if is_control {
            check_control(key, value.expect("a control record has a value"));
        } else {
            seen.insert(check(key, value));
        }
    });
    seen
}

fn check_metadata(value: &[u8]) -> String {
    let mut reader = Reader::new(value);
    let record = MetadataRecord::decode(&mut reader).unwrap();
    assert_eq!(reader.remaining(), 0, "{record:?}");
    let mut out = Vec::new();
    record.encode(&mut Writer::new(&mut out), i16::from(value[2]));
    assert_eq!(out, value, "{record:?}");
    name(&record)
}

fn check_control(key: &[u8], value: &[u8]) -> String {
    let record = ControlRecord::decode(key, value).unwrap();
    assert_eq!((record.encode_key(), record.encode_value()), (key.to_vec(), value.to_vec()), "{record:?}");
    name(&record)
}

fn check_coordinator<R: CoordinatorRecord + Debug>(key: &[u8], value: Option<&[u8]>) -> R {
    let record = R::decode(key, value).unwrap();
    let version = value.map_or(0, |value| i16::from_be_bytes([value[0], value[1]]));
    assert_eq!(record.encode_key(), key, "{record:?}");
    assert_eq!(record.encode_value(version).as_deref(), value, "{record:?}");
    record
}

fn check_versioned<M: Message + Debug>(bytes: &[u8]) {
    let message: M = decode_versioned(&mut Reader::new(bytes)).unwrap();
    let mut out = Vec::new();
    encode_versioned(&message, &mut Writer::new(&mut out), i16::from_be_bytes([bytes[0], bytes[1]]));
    assert_eq!(out, bytes, "{message:?}");
}

/// Goes through the records of the batches of a log that is not compressed.
fn each_record(log: &[u8], mut visit: impl FnMut(bool, &[u8], Option<&[u8]>)) {
    let mut log = Reader::new(log);
    while log.remaining() > 0 {
        log.i64("base offset").unwrap();
        let length = log.i32("length").unwrap() as usize;
        let mut batch = Reader::new(log.take(length, "batch").unwrap());
        batch.take(9, "epoch, magic, crc").unwrap();
        let is_control = batch.i16("attributes").unwrap() & 0x20 != 0;
        batch.take(34, "deltas, timestamps, producer").unwrap();
        for _ in 0..batch.i32("count").unwrap() {
            varint(&mut batch);
            batch.i8("attributes").unwrap();
            let [_timestamp_delta, _offset_delta] = [varint(&mut batch), varint(&mut batch)];
            let [key, value] = ["key", "value"].map(|field| {
                let length = usize::try_from(varint(&mut batch)).ok();
                length.map(|length| batch.take(length, field).unwrap())
            });
            assert_eq!(varint(&mut batch), 0, "no record has headers");
            visit(is_control, key.unwrap_or_default(), value);
        }
    }
}

/// The varints of batches are signed, the lowest bit being the sign.
fn varint(reader: &mut Reader<'_>) -> i32 {
    let raw = reader.uvarint("varint").unwrap();
    (raw >> 1) as i32 ^ -((raw & 1) as i32)
}

/// A record's variant, as `Debug` tells it.
fn name(record: &impl Debug) -> String {
    format!("{record:?}").split('(').next().unwrap_or_default().to_owned()
}

fn names(names: &str) -> BTreeSet<String> {
    names.split_whitespace().map(str::to_owned).collect()
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.chars().filter_map(|c| c.to_digit(16)).map(|digit| digit as u8).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}
