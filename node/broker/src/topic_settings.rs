//! What a topic's configuration asks of its partitions, in the forms in which it is used.
//!
//! All partitions of a topic share one. It is replaced as a whole when the topic's configs, or those of brokers behind them,
//! change: what is done from then on goes by the new one, without a restart.

use std::time::Duration;

use ottla_config::{Compression, TopicConfig};
use ottla_partition::Rules as LeaderRules;
use ottla_records::{Codec, Packing, Rules as BatchRules, TimestampType};
use ottla_storage::LogOptions;

#[derive(Debug)]
pub struct TopicSettings {
    pub config: TopicConfig,
    /// What is asked of a client's batch.
    pub batches: BatchRules,
    /// How batches are packed in the log, if not as their producers packed them.
    pub packing: Option<Packing>,
}

impl TopicSettings {
    pub fn new(config: TopicConfig) -> TopicSettings {
        let batches = BatchRules {
            batch_bytes_max: u32::try_from(config.max_message_bytes).unwrap_or(0),
            timestamp_type: match config.log_append_time {
                true => TimestampType::LogAppendTime,
                false => TimestampType::CreateTime,
            },
            timestamp_before_ms_max: config.message_timestamp_before_max_ms,
            timestamp_after_ms_max: config.message_timestamp_after_max_ms,
            key_required: config.compact,
        };
        let packing = packing(config.compression);
        TopicSettings { config, batches, packing }
    }

    /// Of one log, whose share of `segment.jitter.ms` is drawn with `chance`.
    pub fn log_options(&self, chance: u64) -> LogOptions {
        let bytes = |bytes: i32| u64::try_from(bytes).unwrap_or(0);
        let mut segment_ms = self.config.segment_ms;
        if let jitter_ms @ 1.. = self.config.segment_jitter_ms.min(segment_ms) {
            segment_ms -= (chance % jitter_ms.unsigned_abs()) as i64;
        }
        if self.config.compact {
            // Only what is in a closed segment is compacted.
            segment_ms = segment_ms.min(self.config.max_compaction_lag_ms);
        }
        LogOptions {
            segment_bytes: bytes(self.config.segment_bytes),
            segment_ms,
            index_bytes: bytes(self.config.segment_index_bytes),
            index_interval_bytes: bytes(self.config.index_interval_bytes),
            reserve_bytes: 0,
            preallocate: self.config.preallocate,
        }
    }

    pub fn leader_rules(&self, replicas: usize) -> LeaderRules {
        LeaderRules {
            replicas,
            min_insync_replicas: usize::try_from(self.config.min_insync_replicas).unwrap_or(1),
            flush_messages: self.config.flush_messages,
        }
    }

    /// `file.delete.delay.ms`
    pub fn file_delete_delay(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.config.file_delete_delay_ms).unwrap_or(0))
    }
}

fn packing(compression: Compression) -> Option<Packing> {
    let (codec, level) = match compression {
        Compression::Producer => return None,
        Compression::None => (Codec::None, None),
        Compression::Gzip(level) => (Codec::Gzip, Some(level)),
        Compression::Snappy => (Codec::Snappy, None),
        Compression::Lz4(level) => (Codec::Lz4, Some(level)),
        Compression::Zstd(level) => (Codec::Zstd, Some(level)),
    };
    Some(Packing { codec, level })
}
