//! What a record batch of the topic may look like.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::{keys, same};

keys! {
    /// Largest record batch, as it is sent, compressed or not.
    acts MAX_MESSAGE_BYTES: int "max.message.bytes" = 1048588, AtLeast(0), Topic(&[same("message.max.bytes")]);
    /// Whether records keep the time their producer gave them (`CreateTime`) or get that of the broker
    /// (`LogAppendTime`).
    acts MESSAGE_TIMESTAMP_TYPE: string "message.timestamp.type" = "CreateTime",
        OneOf(&["CreateTime", "LogAppendTime"]), Topic(&[same("log.message.timestamp.type")]);
    /// How far the time of a record may lie behind that of the broker. Older records are refused.
    acts MESSAGE_TIMESTAMP_BEFORE_MAX_MS: long "message.timestamp.before.max.ms" = 9223372036854775807,
        AtLeast(0), Topic(&[same("log.message.timestamp.before.max.ms")]);
    /// How far the time of a record may lie ahead of that of the broker. Newer records are refused.
    acts MESSAGE_TIMESTAMP_AFTER_MAX_MS: long "message.timestamp.after.max.ms" = 3600000,
        AtLeast(0), Topic(&[same("log.message.timestamp.after.max.ms")]);
    /// Compression of stored records; `producer` keeps what the producer chose.
    acts COMPRESSION_TYPE: string "compression.type" = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), Topic(&[same("compression.type")]);
    /// Level of gzip, where the broker compresses; -1 is gzip's own default.
    acts COMPRESSION_GZIP_LEVEL: int "compression.gzip.level" = -1, GzipLevel, Topic(&[same("compression.gzip.level")]);
    /// Level of lz4, where the broker compresses.
    acts COMPRESSION_LZ4_LEVEL: int "compression.lz4.level" = 9, Between(1, 17), Topic(&[same("compression.lz4.level")]);
    /// Level of zstd, where the broker compresses.
    acts COMPRESSION_ZSTD_LEVEL: int "compression.zstd.level" = 3, Between(-131072, 22), Topic(&[same("compression.zstd.level")]);
}
