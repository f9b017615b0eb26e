//! Produce: what the oracle writes is what our view reads, and the other way round.

use kafka_wire::{ProduceRequest, ProduceResponse, produce_request as request, produce_response as response};
use ottla_base::{LeaderEpoch, NodeId};
use ottla_wire::produce::{PartitionResponse, RecordError, Request, ResponseWriter, fail};
use ottla_wire::{CurrentLeader, DecodeError, DecodeErrorKind, ErrorCode, PARTITIONS_MAX, Reader, TopicKey, Writer};

use crate::dice::Dice;
use crate::oracle;

const VERSIONS: std::ops::RangeInclusive<i16> = 3..=13;

/// What the view says, as the oracle would.
pub fn read(bytes: &[u8], body_at: usize, version: i16) -> Result<ProduceRequest, DecodeError> {
    let mut reader = Reader::new(bytes);
    reader.take(body_at, "header")?;
    let view = Request::decode(&mut reader, version)?;
    let mut read = ProduceRequest::default();
    read.transactional_id = view.transactional_id.map(Into::into);
    read.acks = view.acks;
    read.timeout_ms = view.timeout_ms;
    for topic in view.topics {
        let mut read_topic = request::TopicProduceData::default();
        (read_topic.name, read_topic.topic_id) = oracle::name_and_id(topic.named.key());
        for partition in topic.partitions {
            let mut read_partition = request::PartitionProduceData::default();
            read_partition.index = partition.index;
            read_partition.records = partition.records.map(|records| {
                assert_eq!(&bytes[records.range()], records.bytes);
                records.bytes.to_vec().into()
            });
            read_topic.partition_data.push(read_partition);
        }
        assert_eq!(topic.partitions.len(), read_topic.partition_data.len());
        read.topic_data.push(read_topic);
    }
    assert_eq!((view.topics.len(), view.topics.is_empty()), (read.topic_data.len(), read.topic_data.is_empty()));
    Ok(read)
}

/// The oracle's response, written by us behind bytes that must stay.
pub fn write(response: &ProduceResponse, version: i16) -> Vec<u8> {
    let mut out = b"before".to_vec();
    let mut writer = ResponseWriter::begin(&mut out, version, response.responses.len());
    for topic in &response.responses {
        writer.topic(oracle::key(&topic.name, topic.topic_id, version), topic.partition_responses.len());
        for partition in &topic.partition_responses {
            let mut record_errors = Vec::new();
            for error in &partition.record_errors {
                let message = error.batch_index_error_message.as_deref();
                record_errors.push(RecordError { batch_index: error.batch_index, message });
            }
            let leader = &partition.current_leader;
            writer.partition(&PartitionResponse {
                index: partition.index,
                error: ErrorCode::from_code(partition.error_code).unwrap(),
                base_offset: partition.base_offset,
                log_append_time_ms: partition.log_append_time_ms,
                log_start_offset: partition.log_start_offset,
                record_errors: &record_errors,
                error_message: partition.error_message.as_deref(),
                current_leader: (*leader != Default::default()).then_some(CurrentLeader {
                    leader_id: NodeId(leader.leader_id),
                    leader_epoch: LeaderEpoch(leader.leader_epoch),
                }),
            });
        }
    }
    let endpoints: Vec<_> =
        response.node_endpoints.iter().map(|e| oracle::endpoint(e.node_id, &e.host, e.port, &e.rack)).collect();
    writer.end(response.throttle_time_ms, &endpoints);
    out.strip_prefix(b"before").unwrap().to_vec()
}

fn draw_request(d: &mut Dice, version: i16) -> ProduceRequest {
    let mut drawn = ProduceRequest::default();
    drawn.transactional_id = d.maybe(Dice::text);
    drawn.acks = d.i16();
    drawn.timeout_ms = d.i32();
    drawn.topic_data = d.some(|d| {
        let mut topic = request::TopicProduceData::default();
        match version {
            13.. => topic.topic_id = d.uuid(),
            _ => topic.name = d.text(),
        }
        topic.partition_data = d.some(|d| {
            let mut partition = request::PartitionProduceData::default();
            partition.index = d.i32();
            partition.records = d.maybe(Dice::bytes);
            partition
        });
        topic
    });
    drawn
}

fn add_unknown_tags(d: &mut Dice, request: &mut ProduceRequest) {
    request.unknown_tagged_fields = d.unknown_tags();
    for topic in &mut request.topic_data {
        topic.unknown_tagged_fields = d.unknown_tags();
        for partition in &mut topic.partition_data {
            partition.unknown_tagged_fields = d.unknown_tags();
        }
    }
}

/// All fields of all versions.
fn draw_response(d: &mut Dice) -> ProduceResponse {
    let mut drawn = ProduceResponse::default();
    drawn.throttle_time_ms = d.i32();
    drawn.responses = d.some(|d| {
        let mut topic = response::TopicProduceResponse::default();
        (topic.name, topic.topic_id) = (d.text(), d.uuid());
        topic.partition_responses = d.some(draw_partition);
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

fn draw_partition(d: &mut Dice) -> response::PartitionProduceResponse {
    let mut partition = response::PartitionProduceResponse::default();
    partition.index = d.i32();
    partition.error_code = d.below(130) as i16 - 1;
    partition.base_offset = d.i64();
    partition.log_append_time_ms = d.i64();
    partition.log_start_offset = d.i64();
    partition.record_errors = d.some(|d| {
        let mut error = response::BatchIndexAndErrorMessage::default();
        error.batch_index = d.i32();
        error.batch_index_error_message = d.maybe(Dice::text);
        error
    });
    partition.error_message = d.maybe(Dice::text);
    if let Some((leader_id, leader_epoch)) = d.maybe(|d| (d.i32(), d.i32())) {
        (partition.current_leader.leader_id, partition.current_leader.leader_epoch) = (leader_id, leader_epoch);
    }
    partition
}

/// Takes away what the oracle refuses to write at a version. We leave it out.
fn forget(response: &mut ProduceResponse, version: i16) {
    if version < 10 {
        response.node_endpoints.clear();
        for partition in response.responses.iter_mut().flat_map(|topic| &mut topic.partition_responses) {
            partition.current_leader = Default::default();
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
            if version >= 9 {
                add_unknown_tags(&mut d, &mut sent);
            }
            let bytes = [b"header", &oracle::encode(&sent, version)[..], b"trailing bytes are ignored"].concat();
            assert_eq!(read(&bytes, b"header".len(), version), Ok(drawn), "version {version} seed {seed}");
        }
    }
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

/// A version 9 request of one topic, whose parts are given as bytes.
fn check_refused(topics: &[u8], field: &str, kind: DecodeErrorKind) {
    let bytes = [&[0, 0, 1, 0, 0, 0, 9], topics].concat();
    let error = read(&bytes, 0, 9).unwrap_err();
    assert_eq!((error.field, error.kind), (field, kind), "{topics:02x?}");
}

#[test]
fn refused() {
    check_refused(&[0], "topic_data", DecodeErrorKind::Null);
    check_refused(&[0xff, 0xff, 0xff, 0xff, 0x07, 0], "topic_data", DecodeErrorKind::Truncated);
    check_refused(&[2, 0, 1, 0, 0], "topic", DecodeErrorKind::Null);
    check_refused(&[2, 2, b't', 0, 0, 0], "partitions", DecodeErrorKind::Null);
    check_refused(&[2, 2, b't', 2, 0, 0, 0, 0, 9, 0, 0, 0], "records", DecodeErrorKind::Truncated);
    for version in [2, 14] {
        let error = read(&[0; 100], 0, version).unwrap_err();
        assert_eq!(error.kind, DecodeErrorKind::Version(version));
    }
}

/// A version 9 request of topics with so many partitions each, of 6 bytes.
fn with_partitions(topics: &[u32]) -> Vec<u8> {
    let mut bytes = vec![0, 0, 1, 0, 0, 0, 9];
    let mut writer = Writer::new(&mut bytes);
    writer.uvarint(topics.len() as u32 + 1);
    for &partitions in topics {
        writer.raw(&[2, b't']);
        writer.uvarint(partitions + 1);
        (0..partitions).for_each(|_| writer.raw(&[0; 6]));
        writer.uvarint(0);
    }
    writer.uvarint(0);
    bytes
}

#[test]
fn no_request_names_more_partitions_than_it_may() {
    let most = PARTITIONS_MAX as u32;
    for topics in [&[most][..], &[1, most - 2, 0, 1]] {
        let bytes = with_partitions(topics);
        let request = Request::decode(&mut Reader::new(&bytes), 9).unwrap();
        let partitions: usize = request.topics.into_iter().map(|topic| topic.partitions.len()).sum();
        assert_eq!(partitions, PARTITIONS_MAX);
    }
    for topics in [&[most + 1][..], &[most, 1], &[1, most - 2, 0, 2]] {
        let error = Request::decode(&mut Reader::new(&with_partitions(topics)), 9).unwrap_err();
        assert_eq!((error.field, error.kind), ("partitions", DecodeErrorKind::TooMany));
    }
}

#[test]
fn what_is_not_utf8_becomes_one_replacement_character() {
    let read = read(&[3, b'x', 0xff, 0, 1, 0, 0, 0, 9, 2, 3, 0xff, b'x', 1, 0, 0], 0, 9).unwrap();
    assert_eq!(read.transactional_id.as_deref(), Some("\u{FFFD}"));
    assert_eq!(&*read.topic_data[0].name, "\u{FFFD}");
}

/// No client takes an answer with a name that is no text.
#[test]
fn an_answer_repeats_names_that_are_text() {
    for (name, answered) in [(&b"t-1"[..], "t-1"), ("t\u{e9}".as_bytes(), "t\u{e9}"), (b"t\xff", "\u{FFFD}")] {
        let mut bytes = vec![0, 0, 1, 0, 0, 0, 9, 2, name.len() as u8 + 1];
        bytes.extend_from_slice(name);
        bytes.extend_from_slice(&[1, 0, 0]);
        let request = Request::decode(&mut Reader::new(&bytes), 9).unwrap();
        let mut out = Vec::new();
        let mut writer = ResponseWriter::begin(&mut out, 9, 1);
        writer.topic_as(request.topics.into_iter().next().unwrap().named, 0);
        writer.end(0, &[]);
        let mut expected = Vec::new();
        let mut writer = ResponseWriter::begin(&mut expected, 9, 1);
        writer.topic(TopicKey::Name(answered), 0);
        writer.end(0, &[]);
        assert_eq!(out, expected, "{answered}");
    }
}

#[test]
fn outcomes_that_fail_after_all() {
    for version in VERSIONS {
        let succeeded = PartitionResponse {
            index: 5,
            error: ErrorCode::None,
            base_offset: 1 << 40,
            log_append_time_ms: 1 << 41,
            log_start_offset: 1 << 42,
            record_errors: &[],
            error_message: None,
            current_leader: None,
        };
        let failed = PartitionResponse { error: ErrorCode::RequestTimedOut, base_offset: -1, ..succeeded };
        let write = |partition| {
            let mut out = b"before".to_vec();
            let mut writer = ResponseWriter::begin(&mut out, version, 1);
            let key = if version >= 13 { TopicKey::Id(ottla_base::Uuid([7; 16])) } else { TopicKey::Name("t") };
            writer.topic(key, 1);
            let outcome_at = writer.partition(partition);
            writer.end(0, &[]);
            (out, outcome_at)
        };
        let (mut out, outcome_at) = write(&succeeded);
        fail(&mut out, outcome_at, ErrorCode::RequestTimedOut);
        assert_eq!(out, write(&failed).0, "version {version}");
    }
}

#[test]
#[should_panic(expected = "partitions are missing")]
fn a_partition_that_is_missing_is_a_bug() {
    let mut out = Vec::new();
    let mut writer = ResponseWriter::begin(&mut out, 9, 1);
    writer.topic(TopicKey::Name("t"), 1);
    writer.end(0, &[]);
}

#[test]
#[should_panic(expected = "version 13 does not name a topic as Name")]
fn a_name_in_place_of_an_id_is_a_bug() {
    ResponseWriter::begin(&mut Vec::new(), 13, 1).topic(TopicKey::Name("t"), 1);
}
