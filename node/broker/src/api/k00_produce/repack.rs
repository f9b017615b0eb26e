//! Produce for topics whose `compression.type` is not what the producer has chosen.
//!
//! To pack a batch takes many times what it takes to check and write it, and memory for all that it holds. So such a request
//! leaves the connection's turn: it becomes a barrier, and is checked, packed and stored on a blocking thread, no more of
//! them at once than there are processors.

use std::sync::Arc;

use ottla_net::Out;
use ottla_partition::Acks;
use ottla_records::{BatchHeader, Damage, Scratch, repack};
use ottla_wire::frame::RequestStart;
use ottla_wire::produce::Request;
use ottla_wire::{ErrorCode, Reader};

use super::{Staged, Well, answer, find, later, refuse_transactions, store};
use crate::Broker;
use crate::ctx::Client;
use crate::metrics::requests::Taken;
use crate::partition::{Batch, Checked, Partition};
use crate::produced::{Details, Outcome, Refused};
use crate::repacking::Waiting;

/// What the records of one batch may unpack to.
const UNPACKED_BYTES_MAX: usize = 64 << 20;
/// What the batches of one request may take when they are packed anew: a small request can hold many that become large.
const PACKED_BYTES_MAX: usize = 64 << 20;

/// A request whose batches are stored, or refused.
struct Done {
    staged: Staged,
    body: Vec<u8>,
    outcomes: Vec<Outcome>,
}

/// Carries out a whole request. An error closes the connection.
pub async fn produce(
    waiting: Waiting,
    broker: Arc<Broker>,
    client: Arc<Client>,
    (taken, start): (Taken, RequestStart),
    body: Vec<u8>,
) -> Result<Out, &'static str> {
    // Before that it has waited for answers that had to leave first.
    let from_us = broker.rt.mono_us();
    let call = (Taken { at_us: from_us, ..taken }, start);
    let done = {
        let _turn = waiting.turn().await;
        let blocking = broker.clone();
        broker.rt.blocking(move || carry_out(&blocking, &client, call, body)).await?
    };
    let Done { mut staged, body, outcomes } = done;
    staged.waited_from_us = Some(from_us);
    let mut out = Out::default();
    if staged.acks == Acks::None {
        let has_failed = outcomes.iter().any(|outcome| outcome.error() != ErrorCode::None);
        broker.metrics.requests.answered(staged.taken, staged.waited_from_us, broker.rt.mono_us());
        return if has_failed { Err("an error in a Produce request that asks for no reply") } else { Ok(out) };
    }
    if outcomes.iter().any(|outcome| outcome.awaits.is_some()) {
        return Ok(later(broker, &staged, &body, &outcomes).await);
    }
    answer(&staged, &body, &outcomes, &mut out, |_, _| {});
    let mut well = Well::default();
    well.count(&broker, staged.taken, &outcomes);
    well.tell(&broker);
    broker.metrics.requests.answered(staged.taken, staged.waited_from_us, broker.rt.mono_us());
    Ok(out)
}

fn carry_out(
    broker: &Broker,
    client: &Client,
    call: (Taken, RequestStart),
    body: Vec<u8>,
) -> Result<Done, &'static str> {
    let request = Request::decode(&mut Reader::new(&body), call.1.version);
    let request = request.map_err(|_| "a Produce request that does not decode")?;
    let published = broker.published();
    let (mut scratch, now) = (Scratch::new(), broker.rt.now());
    let (mut packed, mut batches, mut outcomes) = (Vec::new(), Vec::new(), Vec::new());
    let acks = Acks::from_wire(request.acks);
    for topic in request.topics {
        let key = topic.named.key();
        let known = published.topics.find(key);
        for asked in topic.partitions {
            let checked = acks.ok_or(Refused::of(ErrorCode::InvalidRequiredAcks)).and_then(|acks| {
                let partition = find(client, known, key, asked.index)?;
                let records = asked.records.ok_or(Refused::of(ErrorCode::InvalidRecord))?.bytes;
                let checked = partition.check_again(records, now, &mut scratch)?;
                refuse_transactions(&request, &checked.header)?;
                let from = packed.len();
                let header = put(partition, records, checked, &mut scratch, &mut packed)?;
                let (bytes, outcome) = (from..packed.len(), outcomes.len());
                Ok(Batch { partition: partition.clone(), acks, header, stamp: None, bytes, outcome })
            });
            outcomes.push(match checked {
                Ok(batch) => {
                    batches.push(batch);
                    Outcome::pending()
                }
                Err(refused) => Outcome::refused(refused),
            });
        }
    }
    let staged = Staged::new(call, 0..body.len(), &request, 0..outcomes.len());
    store(broker, &mut batches, &packed, &mut Vec::new(), &mut outcomes);
    Ok(Done { staged, body, outcomes })
}

/// Appends a batch as it is to be stored, and gives its header.
fn put(
    partition: &Partition,
    batch: &[u8],
    Checked { header, packing }: Checked,
    scratch: &mut Scratch,
    out: &mut Vec<u8>,
) -> Result<BatchHeader, Refused> {
    let Some(packing) = packing else {
        out.extend_from_slice(batch);
        return Ok(header);
    };
    let (packed, header) =
        repack(batch, &header, (packing, UNPACKED_BYTES_MAX), scratch).map_err(|damage| refused(&damage))?;
    let bytes_max = partition.settings().batches.batch_bytes_max;
    if packed.len() > bytes_max as usize {
        let why = format!("packed as the topic says, the batch has {} bytes, and may have {bytes_max}", packed.len());
        return Err(told(ErrorCode::MessageTooLarge, why));
    }
    if out.len() + packed.len() > PACKED_BYTES_MAX {
        let why =
            format!("packed as the topics say, the batches of the request have more than {PACKED_BYTES_MAX} bytes");
        return Err(told(ErrorCode::MessageTooLarge, why));
    }
    out.extend_from_slice(&packed);
    Ok(header)
}

fn refused(damage: &Damage) -> Refused {
    match damage {
        Damage::Memory => {
            let why = format!("the records of the batch unpack to more than {UNPACKED_BYTES_MAX} bytes");
            told(ErrorCode::MessageTooLarge, why)
        }
        damage => told(ErrorCode::InvalidRecord, damage.to_string()),
    }
}

fn told(error: ErrorCode, message: String) -> Refused {
    let details = Details { message: Some(message), records: Vec::new() };
    Refused { error, log_start_offset: None, details: Some(Box::new(details)) }
}
