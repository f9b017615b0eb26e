//! The controllers and the metadata log.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Which of the listeners belong to the controller. Clients do not see them.
    acts CONTROLLER_LISTENER_NAMES: list "controller.listener.names" = "CONTROLLER", NotEmpty, ReadOnly;
    /// Fixed set of controllers, as `id@host:port,...`. Ottla takes only this node.
    acts CONTROLLER_QUORUM_VOTERS: list "controller.quorum.voters" = "", Any, ReadOnly;
    /// Addresses to find the controllers at, as `host:port,...`. Ottla takes only this node's.
    acts CONTROLLER_QUORUM_BOOTSTRAP_SERVERS: list "controller.quorum.bootstrap.servers" = "", Any, ReadOnly;
    /// Lets a new controller join the quorum by itself.
    later: boolean "controller.quorum.auto.join.enable" = false, Any, ReadOnly;
    /// Time for which the controller gathers records before it writes them.
    later: int "controller.quorum.append.linger.ms" = 25, AtLeast(0), ReadOnly;
    /// Time that an election may take before the candidate starts another one.
    later: int "controller.quorum.election.timeout.ms" = 1000, AtLeast(0), ReadOnly;
    /// Longest pause before a new election after an undecided one.
    later: int "controller.quorum.election.backoff.max.ms" = 1000, AtLeast(0), ReadOnly;
    /// Time without a fetch after which a follower starts an election, or a leader without a majority steps down.
    later: int "controller.quorum.fetch.timeout.ms" = 2000, AtLeast(0), ReadOnly;
    /// Bytes that one fetch of the metadata log asks for.
    later: int "controller.quorum.fetch.max.bytes" = 1048576, AtLeast(1), ReadOnly;
    /// Bytes that one fetch of a metadata snapshot asks for.
    later: int "controller.quorum.fetch.snapshot.max.bytes" = 1048576, AtLeast(1), ReadOnly;
    /// Time that a request between controllers may take.
    later: int "controller.quorum.request.timeout.ms" = 2000, AtLeast(0), ReadOnly;
    /// Pause before a failed request between controllers is sent again.
    later: int "controller.quorum.retry.backoff.ms" = 20, AtLeast(0), ReadOnly;
    /// Time that a request of the controller to a broker may take.
    later: int "controller.socket.timeout.ms" = 30000, Any, ReadOnly;
    /// Time above which an event of the controller is logged as slow.
    later: long "controller.performance.always.log.threshold.ms" = 2000, AtLeast(0), Hidden;
    /// Time between two reports on the slowest events of the controller.
    later: long "controller.performance.sample.period.ms" = 60000, AtLeast(100), Hidden;
    /// Bytes of the metadata log after which a snapshot is written.
    acts METADATA_LOG_MAX_RECORD_BYTES_BETWEEN_SNAPSHOTS: long "metadata.log.max.record.bytes.between.snapshots" = 20971520, AtLeast(1), ReadOnly;
    /// Age of the last metadata snapshot at which a new one is written; 0 means that age does not count.
    acts METADATA_LOG_MAX_SNAPSHOT_INTERVAL_MS: long "metadata.log.max.snapshot.interval.ms" = 3600000, AtLeast(0), ReadOnly;
    /// Size at which the metadata log starts a new segment file.
    acts METADATA_LOG_SEGMENT_BYTES: int "metadata.log.segment.bytes" = 1073741824, AtLeast(8388608), ReadOnly;
    /// Age at which the metadata log starts a new segment file.
    acts METADATA_LOG_SEGMENT_MS: long "metadata.log.segment.ms" = 604800000, Any, ReadOnly;
    /// Time without records after which the controller writes one that does nothing, to show that it lives.
    later: int "metadata.max.idle.interval.ms" = 500, AtLeast(0), ReadOnly;
    /// Size of metadata log and snapshots above which old ones are removed.
    acts METADATA_MAX_RETENTION_BYTES: long "metadata.max.retention.bytes" = 104857600, Any, ReadOnly;
    /// Age at which metadata snapshots and the log behind them are removed.
    acts METADATA_MAX_RETENTION_MS: long "metadata.max.retention.ms" = 604800000, Any, ReadOnly;
    /// Size of a segment of the metadata log, for tests.
    acts INTERNAL_METADATA_LOG_SEGMENT_BYTES: int "internal.metadata.log.segment.bytes", Any, Hidden;
    /// Largest batch of the metadata log, for tests.
    later: int "internal.metadata.max.batch.size.in.bytes" = 8388608, Any, Hidden;
    /// Time between the removal of a metadata segment and of its files, for tests.
    acts INTERNAL_METADATA_DELETE_DELAY_MILLIS: long "internal.metadata.delete.delay.millis" = 60000, Any, Hidden;
}
