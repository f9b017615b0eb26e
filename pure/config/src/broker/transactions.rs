//! Idempotent and transactional producers.

use crate::bounds::Bounds::*;
use crate::key::Scope::*;
use crate::key::keys;

keys! {
    /// Time after which a partition forgets an idempotent producer that sends nothing, and with it its last sequences.
    acts PRODUCER_ID_EXPIRATION_MS: int "producer.id.expiration.ms" = 86400000, AtLeast(1), ClusterWide;
    /// Time between two looks for producers to forget.
    acts PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS: int "producer.id.expiration.check.interval.ms" = 600000,
        AtLeast(1), Hidden;
    /// Time after which a transactional id that is not used is forgotten.
    later: int "transactional.id.expiration.ms" = 604800000, AtLeast(1), ReadOnly;
    /// Longest timeout that a producer may ask for its transactions.
    acts TRANSACTION_MAX_TIMEOUT_MS: int "transaction.max.timeout.ms" = 900000, AtLeast(1), ReadOnly;
    /// Checks with the coordinator that a partition belongs to the transaction before it takes its first record.
    later: boolean "transaction.partition.verification.enable" = true, Any, ClusterWide;
    /// Lets producers take part in a two-phase commit, whose transactions never time out.
    later: boolean "transaction.two.phase.commit.enable" = false, Any, ReadOnly;
    /// Time between two looks for transactions that have timed out.
    later: int "transaction.abort.timed.out.transaction.cleanup.interval.ms" = 10000, AtLeast(1), ReadOnly;
    /// Time between two looks for transactional ids to forget.
    later: int "transaction.remove.expired.transaction.cleanup.interval.ms" = 3600000, AtLeast(1), ReadOnly;
    /// Partitions of the topic that keeps the state of transactions.
    later: int "transaction.state.log.num.partitions" = 50, AtLeast(1), ReadOnly;
    /// Replicas of the topic that keeps the state of transactions.
    later: short "transaction.state.log.replication.factor" = 3, AtLeast(1), ReadOnly;
    /// `min.insync.replicas` of the topic that keeps the state of transactions.
    later: int "transaction.state.log.min.isr" = 2, AtLeast(1), ReadOnly;
    /// `segment.bytes` of the topic that keeps the state of transactions.
    later: int "transaction.state.log.segment.bytes" = 104857600, AtLeast(1), ReadOnly;
    /// Bytes that are read at a time when the state of transactions is loaded.
    later: int "transaction.state.log.load.buffer.size" = 5242880, AtLeast(1), ReadOnly;
    /// Pause before a partition is added again to a transaction that is still ending.
    later: int "add.partitions.to.txn.retry.backoff.ms" = 20, AtLeast(1), ReadOnly;
    /// Time for which the broker itself keeps trying to add a partition to a transaction that is still ending.
    later: int "add.partitions.to.txn.retry.backoff.max.ms" = 100, AtLeast(0), ReadOnly;
}
