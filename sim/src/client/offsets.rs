//! ListOffsets for one partition: its ends, and where a time is.

use ottla_wire::ErrorCode;
use ottla_wire::messages::{ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic};

use super::{Client, Gone, TopicName};

const VERSION: i16 = 7;
/// Stand for the two ends of a log, in place of a time.
pub const EARLIEST: i64 = -2;
pub const LATEST: i64 = -1;

/// Offset and timestamp, which are -1 where nothing was found, as the timestamp of an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundOffset {
    pub offset: i64,
    pub timestamp: i64,
}

impl Client {
    /// The first record with this timestamp or a later one, or an end.
    pub async fn find_offset(
        &mut self,
        topic: &TopicName,
        partition: i32,
        time: i64,
    ) -> Result<Result<FoundOffset, ErrorCode>, Gone> {
        let asked = ListOffsetsPartition { partition_index: partition, timestamp: time, ..Default::default() };
        let topics =
            vec![ListOffsetsTopic { name: topic.name.as_str().into(), partitions: vec![asked], ..Default::default() }];
        let request = ListOffsetsRequest { replica_id: -1, topics, ..Default::default() };
        let response = self.call(&request, VERSION).await?;
        let found = response.topics.first().and_then(|topic| topic.partitions.first());
        Ok(match found {
            Some(found) if found.error_code == 0 => {
                Ok(FoundOffset { offset: found.offset, timestamp: found.timestamp })
            }
            Some(found) => Err(ErrorCode::from_code(found.error_code).unwrap_or(ErrorCode::UnknownServerError)),
            None => Err(ErrorCode::UnknownServerError),
        })
    }
}
