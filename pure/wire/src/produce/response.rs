//! Writing a Produce response.

use super::{FLEXIBLE_FROM, VERSIONS};
use crate::ErrorCode;
use crate::leader::{CurrentLeader, NodeEndpoint, write_endpoints};
use crate::row;
use crate::topic::{Named, TopicKey, TopicsWriter};
use crate::view::Layout;
use crate::writer::Writer;

/// Appends a response to a buffer: a [`topic`](ResponseWriter::topic) and its partitions, the next one, and the
/// [`end`](ResponseWriter::end). What the version cannot say is left out.
///
/// # Panics
/// If there are not as many topics and partitions as announced, or a topic's key is not of the version's kind: a client
/// would misread the rest.
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    topics: TopicsWriter<'o>,
}

/// What became of the records for one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionResponse<'a> {
    pub index: i32,
    pub error: ErrorCode,
    /// Offset of the first record, -1 if refused.
    pub base_offset: i64,
    /// Milliseconds since 1970 if the topic has log-append time, else -1.
    pub log_append_time_ms: i64,
    /// First offset of the log, -1 if refused before the log was asked.
    pub log_start_offset: i64,
    pub record_errors: &'a [RecordError<'a>],
    pub error_message: Option<&'a str>,
    pub current_leader: Option<CurrentLeader>,
}

/// A record because of which a batch was refused (KIP-467).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordError<'a> {
    /// Index of the record in its batch, from 0.
    pub batch_index: i32,
    pub message: Option<&'a str>,
}

impl<'o> ResponseWriter<'o> {
    #[inline]
    pub fn begin(out: &'o mut Vec<u8>, version: i16, topics: usize) -> ResponseWriter<'o> {
        assert!(VERSIONS.contains(&version), "version {version} is not one of {VERSIONS:?}");
        let layout = Layout::new(version, FLEXIBLE_FROM);
        ResponseWriter { topics: TopicsWriter::begin(out, layout, topics) }
    }

    #[inline]
    pub fn topic(&mut self, key: TopicKey<'_>, partitions: usize) {
        self.topics.topic(key, partitions);
    }

    /// See [`TopicsWriter::topic_as`].
    #[inline]
    pub fn topic_as(&mut self, named: Named<'_>, partitions: usize) {
        self.topics.topic_as(named, partitions);
    }

    /// Returns where in the buffer the outcome stands, for [`fail`].
    #[inline]
    pub fn partition(&mut self, partition: &PartitionResponse<'_>) -> usize {
        self.topics.begin_partition();
        let TopicsWriter { out, layout, .. } = &mut self.topics;
        let Layout { version, form } = *layout;
        let outcome_at = out.len() + size_of_val(&partition.index);
        row::append::<34>(out, |row| {
            row.i32(partition.index);
            row.i16(partition.error.code());
            row.i64(partition.base_offset);
            row.i64(partition.log_append_time_ms);
            if version >= 5 {
                row.i64(partition.log_start_offset);
            }
            if version >= 8 {
                row.array_len(partition.record_errors.len(), form);
            }
        });
        let mut writer = Writer::new(out);
        if version >= 8 {
            for error in partition.record_errors {
                write_record_error(&mut writer, *layout, error);
            }
            writer.nullable_str(partition.error_message, form);
        }
        match partition.current_leader {
            Some(leader) if version >= 10 => {
                writer.uvarint(1);
                leader.write_tag(&mut writer, 0);
            }
            _ if layout.is_flexible() => writer.uvarint(0),
            _ => {}
        }
        self.topics.end_partition();
        outcome_at
    }

    #[inline]
    pub fn end(self, throttle_time_ms: i32, node_endpoints: &[NodeEndpoint<'_>]) {
        let version = self.topics.layout.version;
        let mut writer = self.topics.end();
        writer.i32(throttle_time_ms);
        match version {
            10.. => write_endpoints(&mut writer, node_endpoints),
            FLEXIBLE_FROM.. => writer.uvarint(0),
            _ => {}
        }
    }
}

fn write_record_error(writer: &mut Writer<'_>, layout: Layout, error: &RecordError<'_>) {
    writer.i32(error.batch_index);
    writer.nullable_str(error.message, layout.form);
    if layout.is_flexible() {
        writer.uvarint(0);
    }
}

/// Turns the outcome at a place that [`ResponseWriter::partition`] gave into a failure. So an answer can be written before
/// it is known whether it will be true.
pub fn fail(response: &mut [u8], outcome_at: usize, error: ErrorCode) {
    response[outcome_at..outcome_at + 2].copy_from_slice(&error.code().to_be_bytes());
    response[outcome_at + 2..outcome_at + 10].copy_from_slice(&(-1i64).to_be_bytes());
}
