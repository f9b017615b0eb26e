//! Fetch, as a client writes and reads it. The broker's side is in `pure/wire`, which has only that one.

use ottla_wire::{ApiKey, DecodeError, ErrorCode, Form, Reader, Writer};

use super::{Client, Gone, TopicName};
use crate::history::{LogId, Marks};

/// First version with compact lengths and tags.
const FLEXIBLE_FROM: i16 = 12;

#[derive(Clone, Debug)]
pub struct FetchRequest {
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0 and -1 without a session, 0 and 0 to begin one.
    pub session_id: i32,
    pub session_epoch: i32,
    pub asks: Vec<Ask>,
    /// Partitions that leave the session.
    pub forgotten: Vec<(TopicName, i32)>,
    /// What the answer may tell of beside what is asked: the topics of the session.
    pub known: Vec<TopicName>,
}

/// What a fetch asks of one partition.
#[derive(Clone, Debug)]
pub struct Ask {
    pub topic: TopicName,
    pub partition: i32,
    pub offset: i64,
    pub max_bytes: i32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchAnswer {
    pub error: ErrorCode,
    pub session_id: i32,
    pub parts: Vec<FetchPart>,
}

/// What a fetch was answered for one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FetchPart {
    pub log: LogId,
    pub error: ErrorCode,
    pub marks: Marks,
    pub records: Vec<u8>,
}

impl Client {
    pub async fn fetch(&mut self, request: &FetchRequest, version: i16) -> Result<FetchAnswer, Gone> {
        let pending = self.send(ApiKey::Fetch, version, |writer| write(request, writer, version)).await?;
        self.receive(pending, |reader| read(request, reader, version)).await
    }
}

fn write(request: &FetchRequest, writer: &mut Writer<'_>, version: i16) {
    let form = Form::of(version, FLEXIBLE_FROM);
    let end = |writer: &mut Writer<'_>| {
        if version >= FLEXIBLE_FROM {
            writer.uvarint(0)
        }
    };
    if version < 15 {
        writer.i32(-1); // a consumer, no replica
    }
    writer.i32(request.max_wait_ms);
    writer.i32(request.min_bytes);
    writer.i32(request.max_bytes);
    writer.i8(0); // reads uncommitted
    if version >= 7 {
        writer.i32(request.session_id);
        writer.i32(request.session_epoch);
    }
    writer.array_len(request.asks.len(), form);
    for Ask { topic, partition, offset, max_bytes } in &request.asks {
        topic.write(writer, version, form);
        writer.array_len(1, form);
        writer.i32(*partition);
        if version >= 9 {
            writer.i32(-1); // current leader epoch
        }
        writer.i64(*offset);
        if version >= 12 {
            writer.i32(-1); // last fetched epoch
        }
        if version >= 5 {
            writer.i64(-1); // log start offset
        }
        writer.i32(*max_bytes);
        end(writer);
        end(writer);
    }
    if version >= 7 {
        writer.array_len(request.forgotten.len(), form);
        for (topic, partition) in &request.forgotten {
            topic.write(writer, version, form);
            writer.array_len(1, form);
            writer.i32(*partition);
            end(writer);
        }
    }
    if version >= 11 {
        writer.str("", form); // rack
    }
    end(writer);
}

fn read(request: &FetchRequest, reader: &mut Reader<'_>, version: i16) -> Result<FetchAnswer, DecodeError> {
    let form = Form::of(version, FLEXIBLE_FROM);
    let end = |reader: &mut Reader<'_>| if version >= FLEXIBLE_FROM { reader.skip_tags() } else { Ok(()) };
    reader.i32("throttle_time_ms")?;
    let (error, session_id) = match version {
        7.. => (reader.i16("error_code")?, reader.i32("session_id")?),
        _ => (0, 0),
    };
    let mut parts = Vec::new();
    for _ in 0..reader.array_len("responses", form)? {
        let topic = TopicName::find(reader, version, form, &request.known)?;
        for _ in 0..reader.array_len("partitions", form)? {
            parts.push(read_part(topic, reader, version, form)?);
            end(reader)?;
        }
        end(reader)?;
    }
    end(reader)?;
    Ok(FetchAnswer { error: known(error), session_id, parts })
}

fn read_part(topic: &TopicName, reader: &mut Reader<'_>, version: i16, form: Form) -> Result<FetchPart, DecodeError> {
    let log = LogId { topic: topic.id, partition: reader.i32("partition_index")? };
    let error = known(reader.i16("error_code")?);
    let high_watermark = reader.i64("high_watermark")?;
    reader.i64("last_stable_offset")?;
    let start = if version >= 5 { reader.i64("log_start_offset")? } else { 0 };
    for _ in 0..reader.nullable_array_len("aborted_transactions", form)?.unwrap_or(0) {
        reader.take(16, "aborted_transaction")?;
        if version >= FLEXIBLE_FROM {
            reader.skip_tags()?;
        }
    }
    if version >= 11 {
        reader.i32("preferred_read_replica")?;
    }
    let records = reader.nullable_bytes_ref("records", form)?.unwrap_or_default().to_vec();
    Ok(FetchPart { log, error, marks: Marks { start, high_watermark }, records })
}

fn known(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap_or(ErrorCode::UnknownServerError)
}

#[cfg(test)]
mod tests {
    use ottla_base::{NodeId, Uuid};
    use ottla_wire::TopicKey;
    use ottla_wire::fetch::{PartitionResponse, Request, ResponseHead, ResponseWriter};

    use super::*;

    const ID: Uuid = Uuid([7; 16]);

    fn topic() -> TopicName {
        TopicName { name: "t".into(), id: ID }
    }

    fn request() -> FetchRequest {
        FetchRequest {
            max_wait_ms: 500,
            min_bytes: 2,
            max_bytes: 3000,
            session_id: 5,
            session_epoch: 6,
            asks: vec![Ask { topic: topic(), partition: 3, offset: 70, max_bytes: 900 }],
            forgotten: vec![(topic(), 4)],
            known: vec![topic()],
        }
    }

    fn key(version: i16) -> TopicKey<'static> {
        if version >= 13 { TopicKey::Id(ID) } else { TopicKey::Name("t") }
    }

    /// An answer with ten bytes of records for partition 3.
    fn response(version: i16) -> Vec<u8> {
        let mut out = Vec::new();
        let head = ResponseHead { throttle_time_ms: 0, error: ErrorCode::None, session_id: 5 };
        let mut writer = ResponseWriter::begin(&mut out, version, head, 1);
        writer.topic(key(version), 1);
        let records_at = writer.partition(&PartitionResponse {
            index: 3,
            error: ErrorCode::None,
            high_watermark: 80,
            last_stable_offset: 80,
            log_start_offset: 1,
            aborted_transactions: None,
            preferred_read_replica: NodeId::NONE,
            records_bytes: 10,
            diverging_epoch: None,
            current_leader: None,
            snapshot_id: None,
        });
        writer.end(&[]);
        out.splice(records_at..records_at, [9; 10]);
        out
    }

    #[test]
    fn brokers_read_what_is_written_and_the_other_way_round() {
        for version in 4..=18 {
            let mut bytes = Vec::new();
            write(&request(), &mut Writer::new(&mut bytes), version);
            let mut reader = Reader::new(&bytes);
            let read_by_broker = Request::decode(&mut reader, version).unwrap();
            assert_eq!((read_by_broker.max_wait_ms, read_by_broker.max_bytes, reader.remaining()), (500, 3000, 0));
            let asked = read_by_broker.topics.into_iter().next().unwrap();
            let partition = asked.partitions.into_iter().next().unwrap();
            assert_eq!(
                (asked.named.key(), partition.index, partition.fetch_offset),
                (key(version), 3, 70),
                "{version}"
            );
            assert_eq!(partition.max_bytes, 900);
            if version >= 7 {
                assert_eq!((read_by_broker.session_id, read_by_broker.session_epoch), (5, 6));
                let forgotten = read_by_broker.forgotten_topics.into_iter().next().unwrap();
                assert_eq!(forgotten.partitions.into_iter().collect::<Vec<_>>(), [4]);
            }

            let bytes = response(version);
            let mut reader = Reader::new(&bytes);
            let part = FetchPart {
                log: LogId { topic: ID, partition: 3 },
                error: ErrorCode::None,
                marks: Marks { start: if version >= 5 { 1 } else { 0 }, high_watermark: 80 },
                records: vec![9; 10],
            };
            let session_id = if version >= 7 { 5 } else { 0 };
            let expected = FetchAnswer { error: ErrorCode::None, session_id, parts: vec![part] };
            assert_eq!(read(&request(), &mut reader, version).unwrap(), expected, "{version}");
            assert_eq!(reader.remaining(), 0, "{version}");
        }
    }
}
