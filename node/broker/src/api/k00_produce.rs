//! Produce: check, stage, and at the end of the turn one write for each partition.
//!
//! Versions 3-13 (KIP-98, KIP-467, KIP-951, KIP-516); 0-2 are advertised because librdkafka takes a broker without them for
//! one that cannot compress (KAFKA-18659), and are refused. No transactions yet: a transactional batch is refused.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::Guard;
use ottla_base::Now;
use ottla_net::{Next, Out, Replies};
use ottla_partition::Acks;
use ottla_records::{BatchHeader, Codec};
use ottla_storage::Piece;
use ottla_wire::frame::{RequestStart, ResponseFrame};
use ottla_wire::produce::{Request, ResponseWriter, Topics, fail};
use ottla_wire::{ApiKey, DecodeError, DecodeErrorKind, ErrorCode, Reader, TopicKey, TopicsPlace};

use super::{Api, HotCall, KEPT_MAX, Run, outcome};
use crate::Broker;
use crate::ctx::{Client, Operation, Resource};
use crate::metrics::requests::Taken;
use crate::partition::{Batch, Checked, Partition};
use crate::produced::{Awaits, Outcome, Refused};
use crate::serve::Turn;
use crate::topics::{self, Published};

mod repack;

pub const API: Api = Api { key: ApiKey::Produce, run: Run::Hot(handle) };

/// The Produce requests of one turn. Its vectors are used again and again, unless they have become large.
#[derive(Debug, Default)]
pub struct Staging {
    requests: Vec<Staged>,
    batches: Vec<Batch>,
    outcomes: Vec<Outcome>,
    pieces: Vec<Piece<'static>>,
    /// As of the turn's first request.
    seen: Option<Seen>,
}

/// What a turn looks at once.
#[derive(Debug)]
struct Seen {
    now: Now,
    published: Guard<Arc<Published>>,
}

#[derive(Debug)]
struct Staged {
    taken: Taken,
    start: RequestStart,
    /// The request's body in the receive buffer: its topics are walked again for the answer.
    body: Range<usize>,
    topics: TopicsPlace,
    acks: Acks,
    timeout: Duration,
    outcomes: Range<usize>,
    /// Since when ([`Rt::mono_us`](ottla_rt::Rt::mono_us)) it has waited for a thread, if it had to.
    waited_from_us: Option<i64>,
}

impl Staged {
    fn new(
        (taken, start): (Taken, RequestStart),
        body: Range<usize>,
        request: &Request<'_>,
        outcomes: Range<usize>,
    ) -> Staged {
        Staged {
            taken,
            start,
            body,
            topics: request.topics.place(),
            acks: Acks::from_wire(request.acks).unwrap_or(Acks::Leader),
            timeout: Duration::from_millis(u64::try_from(request.timeout_ms).unwrap_or(0)),
            outcomes,
            waited_from_us: None,
        }
    }
}

impl Staging {
    /// Whether this connection is one that produces.
    pub fn has_produced(&self) -> bool {
        self.outcomes.capacity() > 0
    }

    /// Keeps no more room than a usual turn needs. There is an outcome for each batch, and a batch for each piece.
    #[inline]
    fn give_back(&mut self) {
        if self.outcomes.capacity().max(self.requests.capacity()) > KEPT_MAX {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        let Staging { requests, batches, outcomes, pieces, seen: _ } = self;
        requests.shrink_to(KEPT_MAX);
        batches.shrink_to(KEPT_MAX);
        outcomes.shrink_to(KEPT_MAX);
        pieces.shrink_to(KEPT_MAX);
    }
}

fn handle(turn: &mut Turn, call: HotCall<'_>, replies: &mut Replies) -> Next {
    let HotCall { start, buffer, body, taken } = call;
    let request = match Request::decode(&mut Reader::new(&buffer[body.clone()]), start.version) {
        Ok(request) => request,
        Err(DecodeError { kind: DecodeErrorKind::TooMany, .. }) => {
            return Next::Close("a Produce request that names too many partitions");
        }
        Err(_) => return Next::Close("a Produce request that does not decode"),
    };
    let seen = turn.produce.seen.take();
    let seen = seen.unwrap_or_else(|| Seen { now: turn.now(), published: turn.broker.published() });
    let Turn { client, produce, scratch, broker, .. } = turn;
    let scratch = scratch.get_or_insert_default();
    let (first, first_batch) = (produce.outcomes.len(), produce.batches.len());
    let mut must_repack = false;
    let acks = Acks::from_wire(request.acks);
    for topic in request.topics {
        let key = topic.named.key();
        let known = seen.published.topics.find(key);
        for asked in topic.partitions {
            let checked = acks.ok_or(Refused::of(ErrorCode::InvalidRequiredAcks)).and_then(|acks| {
                let partition = find(client, known, key, asked.index)?;
                let records = asked.records.ok_or(Refused::of(ErrorCode::InvalidRecord))?;
                let Checked { header, packing } = if is_long(records.bytes) {
                    broker.rt.in_place(|| partition.check(records.bytes, seen.now, scratch))?
                } else {
                    partition.check(records.bytes, seen.now, scratch)?
                };
                refuse_transactions(&request, &header)?;
                must_repack |= packing.is_some();
                let bytes = body.start + records.position..body.start + records.position + records.bytes.len();
                let outcome = produce.outcomes.len();
                Ok(Batch { partition: partition.clone(), acks, header, stamp: None, bytes, outcome })
            });
            produce.outcomes.push(match checked {
                Ok(batch) => {
                    produce.batches.push(batch);
                    Outcome::pending()
                }
                Err(refused) => {
                    if let Some(Ok(partition)) = known.map(|topic| topic.partition(asked.index)) {
                        partition.traffic.turned_away(refused.error);
                    }
                    Outcome::refused(refused)
                }
            });
        }
    }
    let outcomes = first..produce.outcomes.len();
    let staged = Staged::new((taken, start), body, &request, outcomes);
    if must_repack {
        // It is done again elsewhere, when what came before it is stored.
        produce.outcomes.truncate(first);
        produce.batches.truncate(first_batch);
        produce.give_back();
        let (broker, client, body) = (broker.clone(), client.clone(), buffer[staged.body].to_vec());
        return match end_turn(turn, buffer, replies) {
            close @ Next::Close(_) => close,
            _ => Next::Barrier(Box::pin(repack::produce(
                broker.repacking.enter(body.len()),
                broker,
                client,
                (taken, start),
                body,
            ))),
        };
    }
    produce.requests.push(staged);
    produce.seen = Some(seen);
    Next::Frame
}

/// Whether unpacking may keep a processor busy for long: a packed batch of some size may hold a thousand times as much.
fn is_long(batch: &[u8]) -> bool {
    batch.len() >= LONG_BYTES_MIN && BatchHeader::parse(batch).is_ok_and(|h| h.attributes.codec() != Some(Codec::None))
}

const LONG_BYTES_MIN: usize = 64 << 10;

fn find<'t>(
    client: &Client,
    topic: Option<&'t Arc<topics::Topic>>,
    key: TopicKey<'_>,
    index: i32,
) -> Result<&'t Arc<Partition>, Refused> {
    let topic = topic.ok_or_else(|| Refused::of(outcome::unknown_topic(key)))?;
    if !client.may(Operation::Write, Resource::Topic(&topic.name)) {
        return Err(Refused::of(ErrorCode::TopicAuthorizationFailed));
    }
    if topic.is_internal() {
        return Err(Refused::of(ErrorCode::InvalidTopicException));
    }
    topic.partition(index).map_err(Refused::of)
}

/// There are no transactions yet, so none was begun. Without a transactional id Kafka says that the client may not use
/// this one.
fn refuse_transactions(request: &Request<'_>, header: &BatchHeader) -> Result<(), Refused> {
    match (header.attributes.is_transactional(), request.transactional_id) {
        (false, _) => Ok(()),
        (true, None) => Err(Refused::of(ErrorCode::TransactionalIdAuthorizationFailed)),
        (true, Some(_)) => Err(Refused::of(ErrorCode::InvalidTxnState)),
    }
}

/// Writes what the turn staged, each partition at once, and queues the replies in order.
pub fn end_turn(turn: &mut Turn, buffer: &[u8], replies: &mut Replies) -> Next {
    let Turn { produce: Staging { requests, batches, outcomes, pieces, seen }, broker, answered, .. } = turn;
    if requests.is_empty() {
        return Next::Frame;
    }
    *seen = None;
    store(broker, batches, buffer, pieces, outcomes);
    batches.clear();
    let mut next = Next::Frame;
    let mut well = Well::default();
    for staged in requests.drain(..) {
        let outcomes = &mut outcomes[staged.outcomes.clone()];
        if staged.acks == Acks::None {
            // Nobody reads a reply; a closed connection is the only way to say that something went wrong.
            if outcomes.iter().any(|outcome| outcome.error() != ErrorCode::None) {
                next = Next::Close("an error in a Produce request that asks for no reply");
                break;
            }
            answered.push(staged.taken);
        } else if outcomes.iter().all(|outcome| outcome.awaits.is_none()) {
            answer(&staged, buffer, outcomes, replies.out(), |_, _| {});
            well.count(broker, staged.taken, outcomes);
            answered.push(staged.taken);
        } else {
            replies.later(Box::pin(later(broker.clone(), &staged, buffer, outcomes)));
        }
    }
    well.tell(broker);
    outcomes.clear();
    requests.clear();
    turn.produce.give_back();
    next
}

/// Writes checked batches, each partition at once.
fn store(
    broker: &Broker,
    batches: &mut [Batch],
    buffer: &[u8],
    pieces: &mut Vec<Piece<'static>>,
    outcomes: &mut [Outcome],
) {
    // Batches of one partition together, in the order in which they came. Not by address: a run could not be repeated.
    let place = |batch: &Batch| (batch.partition.index, batch.outcome);
    if batches.iter().skip(1).any(|batch| !Arc::ptr_eq(&batch.partition, &batches[0].partition)) {
        batches
            .sort_unstable_by(|a, b| a.partition.topic.cmp(&b.partition.topic).then_with(|| place(a).cmp(&place(b))));
    }
    for of_one in batches.chunk_by_mut(|a, b| Arc::ptr_eq(&a.partition, &b.partition)) {
        let partition = of_one[0].partition.clone();
        let after = partition.append(of_one, buffer, pieces, outcomes);
        broker.appended.follow_up(&partition, after);
    }
}

/// Partitions that fared well, counted together.
#[derive(Default)]
struct Well {
    row: usize,
    count: u64,
}

impl Well {
    /// Counts how the partitions of a request fared, but for those that wait.
    fn count(&mut self, broker: &Broker, taken: Taken, outcomes: &[Outcome]) {
        self.row = taken.row;
        for outcome in outcomes.iter().filter(|outcome| outcome.awaits.is_none()) {
            match outcome.error() {
                ErrorCode::None => self.count += 1,
                error => broker.metrics.requests.errors(taken.row, error.code(), 1),
            }
        }
    }

    fn tell(self, broker: &Broker) {
        if self.count > 0 {
            broker.metrics.requests.errors(self.row, ErrorCode::None.code(), self.count);
        }
    }
}

/// Appends the answer to `out`: the topics of the request, and what became of their partitions. `on_outcome` is told where
/// each outcome stands in it.
fn answer(
    staged: &Staged,
    buffer: &[u8],
    outcomes: &[Outcome],
    out: &mut Out,
    mut on_outcome: impl FnMut(&Outcome, usize),
) {
    let frame = ResponseFrame::begin(&mut out.bytes, staged.start);
    let topics = Topics::at(staged.topics, &buffer[staged.body.clone()]);
    let mut writer = ResponseWriter::begin(&mut out.bytes, staged.start.version, topics.len());
    let mut outcomes = outcomes.iter();
    for topic in topics {
        writer.topic_as(topic.named, topic.partitions.len());
        for (asked, outcome) in topic.partitions.into_iter().zip(&mut outcomes) {
            on_outcome(outcome, outcome.write(asked.index, &mut writer));
        }
    }
    writer.end(0, &[]);
    frame.end(&mut out.bytes, 0);
}

/// Writes the answer now, as if all went well, and gives it when it is true; what does not become true in time is struck
/// out in it.
fn later(
    broker: Arc<Broker>,
    staged: &Staged,
    buffer: &[u8],
    outcomes: &[Outcome],
) -> impl Future<Output = Out> + use<> {
    let mut well = Well::default();
    well.count(&broker, staged.taken, outcomes);
    well.tell(&broker);
    let waiting = broker.metrics.waiting_produces.enter();
    let taken = staged.taken;
    let mut out = Out::default();
    let mut awaited = Vec::new();
    answer(staged, buffer, outcomes, &mut out, |outcome, at| {
        awaited.extend(outcome.awaits.clone().map(|awaits| (awaits, at)))
    });
    let (acks, timeout_ms) = (staged.acks, i64::try_from(staged.timeout.as_millis()).unwrap_or(i64::MAX));
    // Not when it is its turn to be sent: the answers before it may wait, too.
    let now_us = broker.rt.mono_us();
    let deadline_ms = (now_us / 1000).saturating_add(timeout_ms);
    let waited_from_us = staged.waited_from_us.unwrap_or(now_us);
    async move {
        let Broker { rt, metrics, .. } = &*broker;
        for (Awaits { partition, offset }, at) in awaited {
            let kept = tokio::select! {
                biased;
                kept = partition.kept(acks, offset) => kept,
                () = rt.sleep_until(deadline_ms) => Err(ErrorCode::RequestTimedOut),
            };
            if let Err(error) = kept {
                fail(&mut out.bytes, at, error);
                metrics.expired_produces.add(u64::from(error == ErrorCode::RequestTimedOut));
            }
            metrics.requests.errors(taken.row, kept.err().unwrap_or(ErrorCode::None).code(), 1);
        }
        drop(waiting);
        metrics.requests.answered(taken, Some(waited_from_us), rt.mono_us());
        out
    }
}
