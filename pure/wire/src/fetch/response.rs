//! Writing a Fetch response without its records.

use ottla_base::{LeaderEpoch, NodeId};

use super::{FLEXIBLE_FROM, VERSIONS};
use crate::ErrorCode;
use crate::leader::{CurrentLeader, NodeEndpoint, write_endpoints};
use crate::row;
use crate::topic::{TopicKey, TopicsWriter};
use crate::view::Layout;
use crate::writer::Writer;

/// Appends all of a response but the records to a buffer: a [`topic`](ResponseWriter::topic) and its partitions, the next
/// one, and the [`end`](ResponseWriter::end). What the version cannot say is left out.
///
/// # Panics
/// If there are not as many topics and partitions as announced, or a topic's key is not of the version's kind: a client
/// would misread the rest.
#[derive(Debug)]
pub struct ResponseWriter<'o> {
    topics: TopicsWriter<'o>,
    records_bytes: usize,
}

/// What a response says before its topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseHead {
    pub throttle_time_ms: i32,
    pub error: ErrorCode,
    /// 0 without a session.
    pub session_id: i32,
}

/// What a fetch found in one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionResponse<'a> {
    pub index: i32,
    pub error: ErrorCode,
    /// -1 where the log was not asked, as the two after it.
    pub high_watermark: i64,
    pub last_stable_offset: i64,
    pub log_start_offset: i64,
    /// Where a consumer that reads committed records has to skip some. Null and empty differ on the wire.
    pub aborted_transactions: Option<&'a [AbortedTransaction]>,
    /// [`NodeId::NONE`]: go on reading here (KIP-392).
    pub preferred_read_replica: NodeId,
    /// Length of the records, which are not written.
    pub records_bytes: usize,
    pub diverging_epoch: Option<EpochEndOffset>,
    pub current_leader: Option<CurrentLeader>,
    pub snapshot_id: Option<SnapshotId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AbortedTransaction {
    pub producer_id: i64,
    pub first_offset: i64,
}

/// Where the leader's log and a replica's part: the leader's largest epoch not above the replica's, and its end (KIP-595).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EpochEndOffset {
    pub epoch: LeaderEpoch,
    pub end_offset: i64,
}

/// The snapshot to fetch instead of records that are gone (KIP-630).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotId {
    pub end_offset: i64,
    pub epoch: LeaderEpoch,
}

impl<'o> ResponseWriter<'o> {
    #[inline]
    pub fn begin(out: &'o mut Vec<u8>, version: i16, head: ResponseHead, topics: usize) -> ResponseWriter<'o> {
        assert!(VERSIONS.contains(&version), "version {version} is not one of {VERSIONS:?}");
        let layout = Layout::new(version, FLEXIBLE_FROM);
        row::append::<10>(out, |row| {
            row.i32(head.throttle_time_ms);
            if version >= 7 {
                row.i16(head.error.code());
                row.i32(head.session_id);
            }
        });
        ResponseWriter { topics: TopicsWriter::begin(out, layout, topics), records_bytes: 0 }
    }

    #[inline]
    pub fn topic(&mut self, key: TopicKey<'_>, partitions: usize) {
        self.topics.topic(key, partitions);
    }

    /// Returns the length of the buffer at which the partition's records belong.
    #[inline]
    pub fn partition(&mut self, partition: &PartitionResponse<'_>) -> usize {
        self.topics.begin_partition();
        self.records_bytes += partition.records_bytes;
        let TopicsWriter { out, layout, .. } = &mut self.topics;
        let Layout { version, form } = *layout;
        row::append::<34>(out, |row| {
            row.i32(partition.index);
            row.i16(partition.error.code());
            row.i64(partition.high_watermark);
            row.i64(partition.last_stable_offset);
            if version >= 5 {
                row.i64(partition.log_start_offset);
            }
            match partition.aborted_transactions {
                None => row.null(form),
                Some(aborted) => row.array_len(aborted.len(), form),
            }
        });
        for transaction in partition.aborted_transactions.unwrap_or_default() {
            write_aborted(out, *layout, transaction);
        }
        row::append::<9>(out, |row| {
            if version >= 11 {
                row.i32(partition.preferred_read_replica.0);
            }
            row.array_len(partition.records_bytes, form);
        });
        let records_at = out.len();
        if layout.is_flexible() {
            write_tags(&mut Writer::new(out), partition);
        }
        self.topics.end_partition();
        records_at
    }

    /// Returns how many bytes of records belong to the response beside what was written.
    #[inline]
    pub fn end(self, node_endpoints: &[NodeEndpoint<'_>]) -> usize {
        let version = self.topics.layout.version;
        let mut writer = self.topics.end();
        match version {
            16.. => write_endpoints(&mut writer, node_endpoints),
            FLEXIBLE_FROM.. => writer.uvarint(0),
            _ => {}
        }
        self.records_bytes
    }
}

fn write_aborted(out: &mut Vec<u8>, layout: Layout, transaction: &AbortedTransaction) {
    let mut writer = Writer::new(out);
    writer.i64(transaction.producer_id);
    writer.i64(transaction.first_offset);
    if layout.is_flexible() {
        writer.uvarint(0);
    }
}

#[inline]
fn write_tags(writer: &mut Writer<'_>, partition: &PartitionResponse<'_>) {
    let PartitionResponse { diverging_epoch, current_leader, snapshot_id, .. } = partition;
    let tags = [diverging_epoch.is_some(), current_leader.is_some(), snapshot_id.is_some()];
    writer.uvarint(tags.map(u32::from).iter().sum());
    if let Some(EpochEndOffset { epoch, end_offset }) = *diverging_epoch {
        writer.uvarint(0);
        writer.uvarint(EPOCH_AND_OFFSET_BYTES);
        writer.i32(epoch.0);
        writer.i64(end_offset);
        writer.uvarint(0);
    }
    if let Some(leader) = *current_leader {
        leader.write_tag(writer, 1);
    }
    if let Some(SnapshotId { end_offset, epoch }) = *snapshot_id {
        writer.uvarint(2);
        writer.uvarint(EPOCH_AND_OFFSET_BYTES);
        writer.i64(end_offset);
        writer.i32(epoch.0);
        writer.uvarint(0);
    }
}

/// Bytes of a tag that is an epoch, an offset and an empty tag section.
const EPOCH_AND_OFFSET_BYTES: u32 = 13;
