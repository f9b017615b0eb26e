//! Why a leader does not append a batch.

/// Each is one error code of Kafka, which the caller names to the client. Nothing was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// NOT_ENOUGH_REPLICAS (19): acks=all, and fewer replicas in sync than `min.insync.replicas`.
    #[error("fewer replicas are in sync than acks=all asks for")]
    NotEnoughReplicas,
    /// OUT_OF_ORDER_SEQUENCE_NUMBER (45): not the sequence that follows, and none of the last five batches again.
    #[error("the batch's sequence does not follow the producer's last one")]
    OutOfOrderSequence,
    /// INVALID_PRODUCER_EPOCH (47): a later epoch of this producer has written here.
    #[error("a later epoch of the producer has written here")]
    InvalidProducerEpoch,
    /// INVALID_TXN_STATE (48): the producer has a transaction open, and the batch is not of it.
    #[error("the producer has a transaction open, which the batch is not of")]
    InvalidTxnState,
}
