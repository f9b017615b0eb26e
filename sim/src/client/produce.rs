//! Produce, as a client writes and reads it. The broker's side is in `pure/wire`, which has only that one.

use std::collections::BTreeSet;

use ottla_wire::{ApiKey, DecodeError, DecodeErrorKind, ErrorCode, Form, Reader, Writer};

use super::{Client, Gone, Pending, TopicName};

/// First version with compact lengths and tags.
const FLEXIBLE_FROM: i16 = 9;

#[derive(Clone, Debug)]
pub struct ProduceRequest {
    /// 1, or -1 for all. To 0 there is no answer.
    pub acks: i16,
    pub timeout_ms: i32,
    /// Of one topic.
    pub topic: TopicName,
    pub parts: Vec<Part>,
}

/// A batch for a partition.
#[derive(Clone, Debug)]
pub struct Part {
    pub partition: i32,
    pub batch: Vec<u8>,
}

/// What became of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    pub partition: i32,
    pub error: ErrorCode,
    pub base_offset: i64,
}

impl Client {
    pub async fn send_produce(&mut self, request: &ProduceRequest, version: i16) -> Result<Pending, Gone> {
        self.send(ApiKey::Produce, version, |writer| write(request, writer, version)).await
    }

    pub async fn receive_produce(&mut self, pending: Pending, request: &ProduceRequest) -> Result<Vec<Answered>, Gone> {
        self.receive(pending, |reader| read(request, reader, pending.version)).await
    }
}

fn write(request: &ProduceRequest, writer: &mut Writer<'_>, version: i16) {
    let form = Form::of(version, FLEXIBLE_FROM);
    let end = |writer: &mut Writer<'_>| {
        if version >= FLEXIBLE_FROM {
            writer.uvarint(0)
        }
    };
    writer.nullable_str(None, form); // transactional id
    writer.i16(request.acks);
    writer.i32(request.timeout_ms);
    writer.array_len(1, form);
    request.topic.write(writer, version, form);
    writer.array_len(request.parts.len(), form);
    for Part { partition, batch } in &request.parts {
        writer.i32(*partition);
        writer.bytes(batch, form);
        end(writer);
    }
    end(writer);
    end(writer);
}

fn read(request: &ProduceRequest, reader: &mut Reader<'_>, version: i16) -> Result<Vec<Answered>, DecodeError> {
    let form = Form::of(version, FLEXIBLE_FROM);
    let end = |reader: &mut Reader<'_>| if version >= FLEXIBLE_FROM { reader.skip_tags() } else { Ok(()) };
    let mut answered = Vec::new();
    let start = *reader;
    for _ in 0..reader.array_len("responses", form)? {
        TopicName::find(reader, version, form, std::slice::from_ref(&request.topic))?;
        for _ in 0..reader.array_len("partition_responses", form)? {
            answered.push(read_partition(reader, version, form)?);
            end(reader)?;
        }
        end(reader)?;
    }
    reader.i32("throttle_time_ms")?;
    end(reader)?;
    let partitions = |of: &mut dyn Iterator<Item = i32>| of.collect::<BTreeSet<_>>();
    let asked = partitions(&mut request.parts.iter().map(|part| part.partition));
    let told = partitions(&mut answered.iter().map(|answered| answered.partition));
    let all = asked == told && answered.len() == request.parts.len();
    if all { Ok(answered) } else { Err(start.error("partitions that were not asked for", DecodeErrorKind::Null)) }
}

fn read_partition(reader: &mut Reader<'_>, version: i16, form: Form) -> Result<Answered, DecodeError> {
    let partition = reader.i32("index")?;
    let error = reader.i16("error_code")?;
    let base_offset = reader.i64("base_offset")?;
    reader.i64("log_append_time_ms")?;
    if version >= 5 {
        reader.i64("log_start_offset")?;
    }
    if version >= 8 {
        for _ in 0..reader.array_len("record_errors", form)? {
            reader.i32("batch_index")?;
            reader.nullable_str_bytes("batch_index_error_message", form)?;
            if version >= FLEXIBLE_FROM {
                reader.skip_tags()?;
            }
        }
        reader.nullable_str_bytes("error_message", form)?;
    }
    let error = ErrorCode::from_code(error).unwrap_or(ErrorCode::UnknownServerError);
    Ok(Answered { partition, error, base_offset })
}

#[cfg(test)]
mod tests {
    use ottla_base::Uuid;
    use ottla_wire::TopicKey;
    use ottla_wire::produce::{PartitionResponse, Request, ResponseWriter};

    use super::*;

    fn request() -> ProduceRequest {
        let topic = TopicName { name: "t".into(), id: Uuid([7; 16]) };
        let part = |partition| Part { partition, batch: vec![partition as u8; 9] };
        ProduceRequest { acks: -1, timeout_ms: 77, topic, parts: vec![part(3), part(1)] }
    }

    fn key(version: i16) -> TopicKey<'static> {
        if version >= 13 { TopicKey::Id(Uuid([7; 16])) } else { TopicKey::Name("t") }
    }

    fn response(version: i16, partitions: &[i32]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = ResponseWriter::begin(&mut out, version, 1);
        writer.topic(key(version), partitions.len());
        for &index in partitions {
            writer.partition(&PartitionResponse {
                index,
                error: ErrorCode::RequestTimedOut,
                base_offset: 40 + i64::from(index),
                log_append_time_ms: -1,
                log_start_offset: 0,
                record_errors: &[],
                error_message: Some("late"),
                current_leader: None,
            });
        }
        writer.end(0, &[]);
        out
    }

    #[test]
    fn brokers_read_what_is_written_and_the_other_way_round() {
        for version in 3..=13 {
            let mut bytes = Vec::new();
            write(&request(), &mut Writer::new(&mut bytes), version);
            let mut reader = Reader::new(&bytes);
            let read_by_broker = Request::decode(&mut reader, version).unwrap();
            assert_eq!((read_by_broker.acks, read_by_broker.timeout_ms, reader.remaining()), (-1, 77, 0), "{version}");
            let topic = read_by_broker.topics.into_iter().next().unwrap();
            assert_eq!(topic.named.key(), key(version));
            let parts: Vec<_> =
                topic.partitions.into_iter().map(|part| (part.index, part.records.unwrap().bytes)).collect();
            assert_eq!(parts, [(3, &[3; 9][..]), (1, &[1; 9][..])], "{version}");

            let bytes = response(version, &[3, 1]);
            let mut reader = Reader::new(&bytes);
            let answered = read(&request(), &mut reader, version).unwrap();
            let of = |partition| Answered {
                partition,
                error: ErrorCode::RequestTimedOut,
                base_offset: 40 + i64::from(partition),
            };
            assert_eq!((answered, reader.remaining()), (vec![of(3), of(1)], 0), "{version}");
        }
    }

    #[test]
    fn an_answer_tells_of_what_was_asked() {
        for partitions in [&[3][..], &[3, 1, 1], &[3, 2]] {
            assert!(read(&request(), &mut Reader::new(&response(12, partitions)), 12).is_err(), "{partitions:?}");
        }
    }
}
