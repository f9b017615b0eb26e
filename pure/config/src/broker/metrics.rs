//! How metrics are taken and reported.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Classes that report metrics.
    moot: list "metric.reporters" = "org.apache.kafka.common.metrics.JmxReporter", Any, ClusterWide;
    /// Samples over which a metric is taken.
    moot: int "metrics.num.samples" = 2, AtLeast(1), ReadOnly;
    /// Length of one sample of a metric.
    moot: long "metrics.sample.window.ms" = 30000, AtLeast(1), ReadOnly;
    /// How detailed the metrics are: `INFO`, `DEBUG` or `TRACE`.
    moot: string "metrics.recording.level" = "INFO", Any, ReadOnly;
    /// Classes that report the older kind of metrics.
    moot: list "kafka.metrics.reporters" = "", Any, ReadOnly;
    /// Time between two reports of the older kind of metrics.
    moot: int "kafka.metrics.polling.interval.secs" = 10, AtLeast(1), ReadOnly;
    /// Largest batch of metrics that a client may push.
    later: int "telemetry.max.bytes" = 1048576, AtLeast(1), ReadOnly;
}
