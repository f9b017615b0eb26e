//! Fetch: what the oracle writes is what our view reads, and the other way round.

use kafka_wire::{FetchRequest, FetchResponse, fetch_request as request, fetch_response as response};
use kafka_wire_core::Uuid;
use ottla_base::{LeaderEpoch, NodeId};
use ottla_wire::fetch::{
    AbortedTransaction, EpochEndOffset, PartitionResponse, Request, ResponseHead, ResponseWriter, SnapshotId,
};
use ottla_wire::{CurrentLeader, DecodeError, DecodeErrorKind, ErrorCode, Reader};

use crate::dice::Dice;
use crate::oracle;

const VERSIONS: std::ops::RangeInclusive<i16> = 4..=18;

/// What the view says, as the oracle would.
pub fn read(bytes: &[u8], body_at: usize, version: i16) -> Result<FetchRequest, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.take(body_at, "header")?;
    let view = Request::decode(&mut reader, version)?;
    let mut read = FetchRequest::default();
    read.cluster_id = view.cluster_id.map(Into::into);
    match version {
        15.. => {
            read.replica_state.replica_id = view.replica.replica_id.0;
            read.replica_state.replica_epoch = view.replica.replica_epoch;
        }
        _ => read.replica_id = view.replica.replica_id.0,
    }
    read.max_wait_ms = view.max_wait_ms;
    read.min_bytes = view.min_bytes;
    read.max_bytes = view.max_bytes;
    read.isolation_level = view.isolation_level;
    read.session_id = view.session_id;
    read.session_epoch = view.session_epoch;
    read.rack_id = view.rack_id.into();
    for topic in view.topics {
        let mut read_topic = request::FetchTopic::default();
        (read_topic.topic, read_topic.topic_id) = oracle::name_and_id(topic.named.key());
        for partition in topic.partitions {
            let mut read_partition = request::FetchPartition::default();
            read_partition.partition = partition.index;
            read_partition.current_leader_epoch = partition.current_leader_epoch.0;
            read_partition.fetch_offset = partition.fetch_offset;
            read_partition.last_fetched_epoch = partition.last_fetched_epoch.0;
            read_partition.log_start_offset = partition.log_start_offset;
            read_partition.partition_max_bytes = partition.max_bytes;
            read_partition.replica_directory_id = Uuid::from_bytes(partition.replica_directory_id.0);
            read_partition.high_watermark = partition.high_watermark;
            read_topic.partitions.push(read_partition);
        }
        read.topics.push(read_topic);
    }
    for topic in view.forgotten_topics {
        let mut read_topic = request::ForgottenTopic::default();
        (read_topic.topic, read_topic.topic_id) = oracle::name_and_id(topic.named.key());
        read_topic.partitions.extend(topic.partitions);
        read.forgotten_topics_data.push(read_topic);
    }
    Ok(read)
}

/// The oracle's response, written by us behind bytes that must stay, with the records put where we say they belong.
pub fn write(response: &FetchResponse, version: i16) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let head = ResponseHead {
        throttle_time_ms: response.throttle_time_ms,
        error: ErrorCode::from_code(response.error_code).unwrap(),
        session_id: response.session_id,
    };
    let mut writer = ResponseWriter::begin(&mut out, version, head, response.responses.len());
    let mut records = Vec::new();
    for topic in &response.responses {
        writer.topic(oracle::key(&topic.topic, topic.topic_id, version), topic.partitions.len());
        for partition in &topic.partitions {
            let of_partition = partition.records.as_deref().unwrap();
            records.push((write_partition(&mut writer, partition, of_partition.len()), of_partition));
        }
    }
    let endpoints: Vec<_> =
        response.node_endpoints.iter().map(|e| oracle::endpoint(e.node_id, &e.host, e.port, &e.rack)).collect();
    let bytes_elsewhere = writer.end(&endpoints);
    assert_eq!(bytes_elsewhere, records.iter().map(|(_, of_partition)| of_partition.len()).sum::<usize>());
    let mut whole = Vec::new();
    let mut copied = b"before".len();
    for (at, of_partition) in records {
        whole.extend_from_slice(&out[copied..at]);
        whole.extend_from_slice(of_partition);
        copied = at;
    }
    whole.extend_from_slice(&out[copied..]);
    assert!(out.starts_with(b"before"));
    whole
}

fn write_partition(
    writer: &mut ResponseWriter<'_>,
    partition: &response::PartitionData,
    records_bytes: usize,
) -> usize {
    let aborted: Option<Vec<_>> = partition.aborted_transactions.as_ref().map(|aborted| {
        let ours = |a: &response::AbortedTransaction| AbortedTransaction {
            producer_id: a.producer_id,
            first_offset: a.first_offset,
        };
        aborted.iter().map(ours).collect()
    });
    let (diverging, leader, snapshot) = (&partition.diverging_epoch, &partition.current_leader, &partition.snapshot_id);
    writer.partition(&PartitionResponse {
        index: partition.partition_index,
        error: ErrorCode::from_code(partition.error_code).unwrap(),
        high_watermark: partition.high_watermark,
        last_stable_offset: partition.last_stable_offset,
        log_start_offset: partition.log_start_offset,
        aborted_transactions: aborted.as_deref(),
        preferred_read_replica: NodeId(partition.preferred_read_replica),
        records_bytes,
        diverging_epoch: (*diverging != Default::default())
            .then_some(EpochEndOffset { epoch: LeaderEpoch(diverging.epoch), end_offset: diverging.end_offset }),
        current_leader: (*leader != Default::default()).then_some(CurrentLeader {
            leader_id: NodeId(leader.leader_id),
            leader_epoch: LeaderEpoch(leader.leader_epoch),
        }),
        snapshot_id: (*snapshot != Default::default())
            .then_some(SnapshotId { end_offset: snapshot.end_offset, epoch: LeaderEpoch(snapshot.epoch) }),
    })
}

fn draw_request(d: &mut Dice, version: i16) -> FetchRequest {
    let mut drawn = FetchRequest::default();
    match version {
        15.. => (drawn.replica_state.replica_id, drawn.replica_state.replica_epoch) = (d.i32(), d.i64()),
        _ => drawn.replica_id = d.i32(),
    }
    (drawn.max_wait_ms, drawn.min_bytes, drawn.max_bytes) = (d.i32(), d.i32(), d.i32());
    drawn.isolation_level = d.i16() as i8;
    drawn.topics = d.some(|d| {
        let mut topic = request::FetchTopic::default();
        match version {
            13.. => topic.topic_id = d.uuid(),
            _ => topic.topic = d.text(),
        }
        topic.partitions = d.some(|d| draw_request_partition(d, version));
        topic
    });
    if version >= 7 {
        (drawn.session_id, drawn.session_epoch) = (d.i32(), d.i32());
        drawn.forgotten_topics_data = d.some(|d| {
            let mut topic = request::ForgottenTopic::default();
            match version {
                13.. => topic.topic_id = d.uuid(),
                _ => topic.topic = d.text(),
            }
            topic.partitions = d.some(Dice::i32);
            topic
        });
    }
    if version >= 11 {
        drawn.rack_id = d.text();
    }
    if version >= 12 {
        drawn.cluster_id = d.maybe(Dice::text);
    }
    drawn
}

fn draw_request_partition(d: &mut Dice, version: i16) -> request::FetchPartition {
    let mut partition = request::FetchPartition::default();
    (partition.partition, partition.fetch_offset, partition.partition_max_bytes) = (d.i32(), d.i64(), d.i32());
    if version >= 5 {
        partition.log_start_offset = d.i64();
    }
    if version >= 9 {
        partition.current_leader_epoch = d.i32();
    }
    if version >= 12 {
        partition.last_fetched_epoch = d.i32();
    }
    if version >= 17 {
        partition.replica_directory_id = d.maybe(Dice::uuid).unwrap_or(Uuid::ZERO);
    }
    if version >= 18 {
        partition.high_watermark = d.i64();
    }
    partition
}

fn add_unknown_tags(d: &mut Dice, request: &mut FetchRequest) {
    request.unknown_tagged_fields = d.unknown_tags();
    request.replica_state.unknown_tagged_fields = d.unknown_tags();
    for topic in &mut request.topics {
        topic.unknown_tagged_fields = d.unknown_tags();
        for partition in &mut topic.partitions {
            partition.unknown_tagged_fields = d.unknown_tags();
        }
    }
    for topic in &mut request.forgotten_topics_data {
        topic.unknown_tagged_fields = d.unknown_tags();
    }
}

/// All fields of all versions.
fn draw_response(d: &mut Dice) -> FetchResponse {
    let mut drawn = FetchResponse::default();
    drawn.throttle_time_ms = d.i32();
    drawn.error_code = d.below(130) as i16 - 1;
    drawn.session_id = d.i32();
    drawn.responses = d.some(|d| {
        let mut topic = response::FetchableTopicResponse::default();
        (topic.topic, topic.topic_id) = (d.text(), d.uuid());
        topic.partitions = d.some(draw_response_partition);
        topic
    });
    drawn.node_endpoints = d.some(|d| {
        let mut endpoint = response::NodeEndpoint::default();
        (endpoint.node_id, endpoint.host, endpoint.port) = (d.i32(), d.text(), d.i32());
        endpoint.rack = d.maybe(Dice::text);
        endpoint
    });
    drawn
}

fn draw_response_partition(d: &mut Dice) -> response::PartitionData {
    let mut partition = response::PartitionData::default();
    partition.partition_index = d.i32();
    partition.error_code = d.below(130) as i16 - 1;
    (partition.high_watermark, partition.last_stable_offset, partition.log_start_offset) = (d.i64(), d.i64(), d.i64());
    partition.aborted_transactions = d.maybe(|d| {
        d.some(|d| {
            let mut aborted = response::AbortedTransaction::default();
            (aborted.producer_id, aborted.first_offset) = (d.i64(), d.i64());
            aborted
        })
    });
    partition.preferred_read_replica = d.i32();
    partition.records = Some(d.bytes());
    if let Some(end) = d.maybe(|d| (d.i32(), d.i64())) {
        (partition.diverging_epoch.epoch, partition.diverging_epoch.end_offset) = end;
    }
    if let Some(leader) = d.maybe(|d| (d.i32(), d.i32())) {
        (partition.current_leader.leader_id, partition.current_leader.leader_epoch) = leader;
    }
    if let Some(snapshot) = d.maybe(|d| (d.i64(), d.i32())) {
        (partition.snapshot_id.end_offset, partition.snapshot_id.epoch) = snapshot;
    }
    partition
}

/// Takes away what the oracle refuses to write at a version. We leave it out.
fn forget(response: &mut FetchResponse, version: i16) {
    if version < 16 {
        response.node_endpoints.clear();
    }
    if version < 7 {
        response.session_id = 0;
    }
    for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partitions) {
        if version < 12 {
            partition.diverging_epoch = Default::default();
            partition.current_leader = Default::default();
            partition.snapshot_id = Default::default();
        }
        if version < 11 {
            partition.preferred_read_replica = -1;
        }
    }
}

#[test]
fn requests() {
    for version in VERSIONS {
        for seed in 0..100 {
            let mut d = Dice::new(seed);
            let drawn = draw_request(&mut d, version);
            let mut sent = drawn.clone();
            if version >= 12 {
                add_unknown_tags(&mut d, &mut sent);
            }
            if version < 15 {
                sent.replica_state = Default::default();
            }
            let bytes = [b"header", &oracle::encode(&sent, version)[..], b"trailing bytes are ignored"].concat();
            assert_eq!(read(&bytes, b"header".len(), version), Ok(drawn), "version {version} seed {seed}");
        }
    }
}

/// From 15 on versions differ in nothing but their tagged fields, and 14 has the replica's id in front besides.
#[test]
fn tags_of_later_versions_are_unknown() {
    let mut drawn = draw_request(&mut Dice::new(3), 18);
    (drawn.replica_state.replica_id, drawn.replica_state.replica_epoch) = (5, 6);
    let mut bytes = oracle::encode(&drawn, 18);
    let mut known = drawn;
    for (version, forget) in [
        (18, (|_| ()) as fn(&mut FetchRequest)),
        (17, |known| for_each_partition(known, |partition| partition.high_watermark = i64::MAX)),
        (16, |known| for_each_partition(known, |partition| partition.replica_directory_id = Uuid::ZERO)),
        (14, |known| (known.replica_state, known.replica_id) = (Default::default(), 0)),
    ] {
        let before = known.clone();
        forget(&mut known);
        assert_eq!(before == known, version == 18, "nothing to forget");
        if version == 14 {
            bytes.splice(0..0, [0; 4]);
        }
        assert_eq!(read(&bytes, 0, version).as_ref(), Ok(&known), "version {version}");
    }
}

fn for_each_partition(request: &mut FetchRequest, change: fn(&mut request::FetchPartition)) {
    request.topics.iter_mut().flat_map(|topic| &mut topic.partitions).for_each(change);
}

#[test]
fn responses() {
    for version in VERSIONS {
        for seed in 0..100 {
            let drawn = draw_response(&mut Dice::new(seed));
            let ours = write(&drawn, version);
            let mut sayable = drawn;
            forget(&mut sayable, version);
            assert_eq!(ours, oracle::encode(&sayable, version), "version {version} seed {seed}");
        }
    }
}

#[test]
fn hostile_requests() {
    for version in VERSIONS {
        for seed in 0..40 {
            let mut d = Dice::new(seed);
            let bytes = oracle::encode(&draw_request(&mut d, version), version);
            if bytes.len() < 3_000 {
                oracle::check_hostile(&bytes, &mut d, |bytes| read(bytes, 0, version).map(drop));
            }
        }
    }
}

/// A version 18 request: its fields up to the topics, these bytes, and what follows them.
fn check_refused(topics: &[u8], field: &str, kind: DecodeErrorKind) {
    let bytes = [&[0; 21], topics].concat();
    let error = read(&bytes, 0, 18).unwrap_err();
    assert_eq!((error.field, error.kind), (field, kind), "{topics:02x?}");
}

#[test]
fn refused() {
    check_refused(&[0, 1, 1, 0], "topics", DecodeErrorKind::Null);
    check_refused(&[1, 0, 1, 0], "forgotten_topics_data", DecodeErrorKind::Null);
    check_refused(&[1, 1, 0, 0], "rack_id", DecodeErrorKind::Null);
    check_refused(&[0xff, 0xff, 0xff, 0xff, 0x07, 1, 1, 0], "topics", DecodeErrorKind::Truncated);
    // Tags that are shorter than what they hold, though the bytes go on behind them.
    check_refused(&[1, 1, 1, 1, 0, 1, 5, 0, 0, 0, 0], "cluster_id", DecodeErrorKind::Truncated);
    check_refused(&[1, 1, 1, 1, 1, 3, 0, 0, 0, 0, 0], "replica_id", DecodeErrorKind::Truncated);
    check_refused(&[1, 1, 1, 1, 0, 2, 1, 0], "tag", DecodeErrorKind::TagSize);
    for version in [3, 19] {
        let error = read(&[0; 100], 0, version).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::Version(version));
    }
}

#[test]
#[should_panic(expected = "more partitions than announced")]
fn a_partition_too_many_is_a_bug() {
    let head = ResponseHead { throttle_time_ms: 0, error: ErrorCode::None, session_id: 0 };
    let mut out = Vec::new();
    let mut writer = ResponseWriter::begin(&mut out, 4, head, 1);
    writer.topic(ottla_wire::TopicKey::Name("t"), 0);
    write_partition(&mut writer, &response::PartitionData::default(), 0);
}
