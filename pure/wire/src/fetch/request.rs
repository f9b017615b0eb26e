//! The view of a Fetch request.

use ottla_base::{LeaderEpoch, NodeId, Uuid};

use super::{FLEXIBLE_FROM, VERSIONS};
use crate::reader::{DecodeError, DecodeErrorKind, Form, Reader};
use crate::row::Row;
use crate::topic;
use crate::view::{CHECKED, Layout, end_tag, nullable_text, text};

/// A Fetch request whose names and arrays are still in the frame. What its version cannot say has the schema's default.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Which cluster the client means; null if it does not care.
    pub cluster_id: Option<&'a str>,
    pub replica: ReplicaState,
    pub max_wait_ms: i32,
    pub min_bytes: i32,
    pub max_bytes: i32,
    /// 0 read uncommitted, 1 read committed; what else a client sends stands here too.
    pub isolation_level: i8,
    pub session_id: i32,
    /// -1 ends the session, 0 begins one, anything above is the next request of it.
    pub session_epoch: i32,
    pub topics: Topics<'a>,
    pub forgotten_topics: ForgottenTopics<'a>,
    pub rack_id: &'a str,
}

/// Who fetches. A consumer has no id ([`NodeId::NONE`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaState {
    pub replica_id: NodeId,
    /// Broker epoch of the replica, -1 if it did not tell.
    pub replica_epoch: i64,
}

pub type Topics<'a> = topic::Topics<'a, Partition>;
pub type Topic<'a> = topic::Topic<'a, Partition>;

/// Partitions, by index, that leave the session.
pub type ForgottenTopics<'a> = topic::Topics<'a, i32>;
pub type ForgottenTopic<'a> = topic::Topic<'a, i32>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    pub index: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub fetch_offset: i64,
    /// Epoch of the last record that a replica has.
    pub last_fetched_epoch: LeaderEpoch,
    /// First offset of a replica's own log; -1 from a consumer.
    pub log_start_offset: i64,
    pub max_bytes: i32,
    pub replica_directory_id: Uuid,
    /// High watermark that the replica knows of; `i64::MAX` if it did not tell.
    pub high_watermark: i64,
}

impl<'a> Request<'a> {
    /// Reads the body of a request, all of it: one that does not hold together yields no partition at all.
    #[inline]
    pub fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Request<'a>, DecodeError> {
        if !VERSIONS.contains(&version) {
            return Err(reader.error("version", DecodeErrorKind::Version(version)));
        }
        let layout = Layout::new(version, FLEXIBLE_FROM);
        let replica_id = if version < 15 { reader.i32("replica_id")? } else { -1 };
        let max_wait_ms = reader.i32("max_wait_ms")?;
        let min_bytes = reader.i32("min_bytes")?;
        let max_bytes = reader.i32("max_bytes")?;
        let isolation_level = reader.i8("isolation_level")?;
        let (session_id, session_epoch) =
            if version >= 7 { (reader.i32("session_id")?, reader.i32("session_epoch")?) } else { (0, -1) };
        let topics = Topics::decode(reader, "topics", layout)?;
        let forgotten_topics = match version {
            7.. => ForgottenTopics::decode(reader, "forgotten_topics_data", layout)?,
            _ => ForgottenTopics::none(layout),
        };
        let rack_id = if version >= 11 { text(reader, "rack_id", layout.form)? } else { "" };
        let mut request = Request {
            cluster_id: None,
            replica: ReplicaState { replica_id: NodeId(replica_id), replica_epoch: -1 },
            max_wait_ms,
            min_bytes,
            max_bytes,
            isolation_level,
            session_id,
            session_epoch,
            topics,
            forgotten_topics,
            rack_id,
        };
        if layout.is_flexible() {
            request.decode_tags(reader, version)?;
        }
        Ok(request)
    }

    fn decode_tags(&mut self, reader: &mut Reader<'a>, version: i16) -> Result<(), DecodeError> {
        for _ in 0..reader.tag_count()? {
            match reader.tag()? {
                (0, mut field) => {
                    self.cluster_id = nullable_text(&mut field, "cluster_id", Form::Compact)?;
                    end_tag(&field)?;
                }
                (1, mut field) if version >= 15 => {
                    self.replica.replica_id = NodeId(field.i32("replica_id")?);
                    self.replica.replica_epoch = field.i64("replica_epoch")?;
                    field.skip_tags()?;
                    end_tag(&field)?;
                }
                _ => {}
            }
        }
        Ok(())
    }
}

impl<'a> topic::Partition<'a> for Partition {
    #[inline]
    fn check(reader: &mut Reader<'a>, layout: Layout) -> Result<(), DecodeError> {
        reader.take(fixed_bytes(layout.version), "partition")?;
        match layout.tag_count(reader)? {
            0 => Ok(()),
            count => {
                *reader = PartitionTags::read(*reader, layout.version, count)?.0;
                Ok(())
            }
        }
    }

    #[inline]
    fn read(reader: &mut Reader<'a>, layout: Layout) -> Partition {
        let version = layout.version;
        // An arm for each length, so that in it every field is at a known place.
        let mut partition = match version {
            12.. => Partition::read_fixed(Row::take::<{ fixed_bytes(12) }>(reader), version),
            9.. => Partition::read_fixed(Row::take::<{ fixed_bytes(9) }>(reader), version),
            5.. => Partition::read_fixed(Row::take::<{ fixed_bytes(5) }>(reader), version),
            _ => Partition::read_fixed(Row::take::<{ fixed_bytes(4) }>(reader), version),
        };
        match layout.tag_count(reader).expect(CHECKED) {
            0 => {}
            count => {
                let (behind, tags) = PartitionTags::read(*reader, version, count).expect(CHECKED);
                *reader = behind;
                partition.replica_directory_id = tags.replica_directory_id;
                partition.high_watermark = tags.high_watermark;
            }
        }
        partition
    }
}

/// Bytes of a partition without its tagged fields.
#[inline]
const fn fixed_bytes(version: i16) -> usize {
    match version {
        12.. => 32,
        9.. => 28,
        5.. => 24,
        _ => 16,
    }
}

impl Partition {
    #[inline(always)]
    fn read_fixed(mut row: Row<'_>, version: i16) -> Partition {
        Partition {
            index: row.i32(),
            current_leader_epoch: LeaderEpoch(if version >= 9 { row.i32() } else { -1 }),
            fetch_offset: row.i64(),
            last_fetched_epoch: LeaderEpoch(if version >= 12 { row.i32() } else { -1 }),
            log_start_offset: if version >= 5 { row.i64() } else { -1 },
            max_bytes: row.i32(),
            replica_directory_id: Uuid::ZERO,
            high_watermark: i64::MAX,
        }
    }
}

/// The tagged fields of a partition. Only replicas send any.
struct PartitionTags {
    replica_directory_id: Uuid,
    high_watermark: i64,
}

impl PartitionTags {
    /// From reader to reader, so that the reader of the usual path can stay in registers.
    #[cold]
    fn read(mut reader: Reader<'_>, version: i16, count: u32) -> Result<(Reader<'_>, PartitionTags), DecodeError> {
        let mut tags = PartitionTags { replica_directory_id: Uuid::ZERO, high_watermark: i64::MAX };
        for _ in 0..count {
            match reader.tag()? {
                (0, mut field) if version >= 17 => {
                    tags.replica_directory_id = field.uuid("replica_directory_id")?;
                    end_tag(&field)?;
                }
                (1, mut field) if version >= 18 => {
                    tags.high_watermark = field.i64("high_watermark")?;
                    end_tag(&field)?;
                }
                _ => {}
            }
        }
        Ok((reader, tags))
    }
}
