//! What a record batch may look like. These are defaults of topic keys.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Largest record batch, as it is sent, compressed or not.
    acts MESSAGE_MAX_BYTES: int "message.max.bytes" = 1048588, AtLeast(0), ClusterWide;
    /// Whether records keep the time their producer gave them (`CreateTime`) or get that of the broker
    /// (`LogAppendTime`).
    acts: string "log.message.timestamp.type" = "CreateTime", OneOf(&["CreateTime", "LogAppendTime"]), ClusterWide;
    /// How far the time of a record may lie behind that of the broker. Older records are refused.
    acts: long "log.message.timestamp.before.max.ms" = 9223372036854775807, AtLeast(0), ClusterWide;
    /// How far the time of a record may lie ahead of that of the broker. Newer records are refused.
    acts: long "log.message.timestamp.after.max.ms" = 3600000, AtLeast(0), ClusterWide;
    /// Compression of stored records; `producer` keeps what the producer chose.
    acts: string "compression.type" = "producer",
        OneOf(&["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"]), ClusterWide;
    /// Level of gzip, where the broker compresses; -1 is gzip's own default.
    acts: int "compression.gzip.level" = -1, GzipLevel, ClusterWide;
    /// Level of lz4, where the broker compresses.
    acts: int "compression.lz4.level" = 9, Between(1, 17), ClusterWide;
    /// Level of zstd, where the broker compresses.
    acts: int "compression.zstd.level" = 3, Between(-131072, 22), ClusterWide;
}
