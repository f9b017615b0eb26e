//! Fetch: where records lie, as soon as there are enough of them.
//!
//! Versions 4-18: sessions (KIP-227), leader epochs (KIP-320), diverging epochs (KIP-595), topic ids (KIP-516). From
//! followers (`replica_id` of a broker) it comes with replication. No preferred replica yet.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_net::{Next, Out, Replies};
use ottla_rt::Rt;
use ottla_storage::disk::Wait;
use ottla_wire::TopicKey;
use ottla_wire::fetch::Request;
use ottla_wire::frame::RequestStart;
use ottla_wire::{ApiKey, DecodeError, DecodeErrorKind, ErrorCode, Reader};

use super::{Api, HotCall, KEPT_MAX, Run, outcome};
use crate::Broker;
use crate::ctx::{Client, Operation, Resource};
use crate::fetch::answer::{List, refuse, write};
use crate::fetch::plan::{Asked, Found, Total, plan};
use crate::fetch::session::{Ask, Opened, Remembered, Session, Topic, lock};
use crate::fetch::wait::Missing;
use crate::metrics::requests::Taken;
use crate::partition::{Cold, Isolation, Partition};
use crate::serve::Turn;
use crate::topics;

pub const API: Api = Api { key: ApiKey::Fetch, run: Run::Hot(handle) };

/// What a connection keeps from one fetch to the next: room, nothing else, and not much.
#[derive(Debug, Default)]
pub struct Scratch {
    asked: Vec<Asked>,
    found: Vec<Found>,
}

/// A fetch whose partitions are found.
#[derive(Debug)]
struct Fetch {
    taken: Taken,
    start: RequestStart,
    isolation: Isolation,
    bytes_min: usize,
    bytes_max: usize,
    wait_max: Duration,
    session: Option<(Arc<Mutex<Session>>, Kind)>,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    New,
    Known,
}

fn handle(turn: &mut Turn, call: HotCall<'_>, replies: &mut Replies) -> Next {
    let HotCall { start, buffer, body, taken } = call;
    let request = match Request::decode(&mut Reader::new(&buffer[body]), start.version) {
        Ok(request) => request,
        Err(DecodeError { kind: DecodeErrorKind::TooMany, .. }) => {
            return Next::Close("a Fetch request that names too many partitions");
        }
        Err(_) => return Next::Close("a Fetch request that does not decode"),
    };
    let isolation = match request.isolation_level {
        0 => Isolation::ReadUncommitted,
        1 => Isolation::ReadCommitted,
        _ => return refused(turn, taken, start, ErrorCode::InvalidRequest, replies),
    };
    let broker = &turn.broker;
    let by_id = matches!(start.version, 13..);
    let draw = || broker.rt.random_u64() as i32;
    let session = match broker.fetch_sessions.open(&request, by_id, || broker.rt.mono_ms(), draw) {
        Opened::Refused(error) => return refused(turn, taken, start, error, replies),
        Opened::Sessionless => None,
        Opened::New(session) => Some((session, Kind::New)),
        Opened::Known(session) => Some((session, Kind::Known)),
    };
    let mut scratch = std::mem::take(&mut turn.fetch);
    match &session {
        Some((session, Kind::Known)) => ask_remembered(broker, &turn.client, &lock(session), &mut scratch.asked),
        _ => ask_named(broker, &turn.client, &request, &mut scratch.asked),
    }
    let mut fetch = Fetch {
        taken,
        start,
        isolation,
        bytes_min: usize::try_from(request.min_bytes).unwrap_or(0),
        bytes_max: usize::try_from(request.max_bytes).unwrap_or(0).min(broker.settings.fetch_bytes_max),
        wait_max: Duration::from_millis(u64::try_from(request.max_wait_ms).unwrap_or(0)),
        session,
        scratch,
    };
    let answers = match fetch.plan(Wait::No) {
        Ok(total) => fetch.is_ready(total) || fetch.wait_max.is_zero(),
        Err(Cold) => false,
    };
    if answers {
        fetch.answer(broker, replies.out());
        turn.answered.push(taken);
        turn.fetch = fetch.scratch;
        turn.fetch.clear();
    } else {
        replies.later(Box::pin(wait(turn.broker.clone(), fetch)));
    }
    Next::Frame
}

fn refused(turn: &mut Turn, taken: Taken, start: RequestStart, error: ErrorCode, replies: &mut Replies) -> Next {
    refuse(replies.out(), start, error);
    turn.broker.metrics.requests.errors(taken.row, error.code(), 1);
    turn.answered.push(taken);
    Next::Frame
}

impl Scratch {
    fn clear(&mut self) {
        self.asked.clear();
        self.found.clear();
        if self.asked.capacity().max(self.found.capacity()) > KEPT_MAX {
            self.asked.shrink_to(KEPT_MAX);
            self.found.shrink_to(KEPT_MAX);
        }
    }
}

impl Fetch {
    fn plan(&mut self, wait: Wait) -> Result<Total, Cold> {
        plan(&self.scratch.asked, self.isolation, self.bytes_max, wait, &mut self.scratch.found)
    }

    /// Plans, on a thread that may wait for the disk where that must be.
    async fn plan_in_time(mut self, rt: &Rt) -> (Fetch, Total) {
        if let Ok(total) = self.plan(Wait::No) {
            return (self, total);
        }
        rt.blocking(move || {
            let total = self.plan(Wait::Yes).unwrap_or_default();
            (self, total)
        })
        .await
    }

    fn is_ready(&self, total: Total) -> bool {
        total.has_more_to_tell || total.records_bytes >= self.bytes_min || self.scratch.asked.is_empty()
    }

    fn answer(&mut self, broker: &Broker, out: &mut Out) {
        let Scratch { asked, found } = &mut self.scratch;
        match &self.session {
            None => write(out, self.start, asked, found, List::All),
            Some((session, Kind::New)) => write(out, self.start, asked, found, List::AllOf(&mut lock(session))),
            Some((session, Kind::Known)) => write(out, self.start, asked, found, List::NewsOf(&mut lock(session))),
        }
        self.count(broker);
    }

    /// Counts what the partitions gave, and how those fared that are listed. The answer as a whole went well.
    fn count(&self, broker: &Broker) {
        let Scratch { asked, found } = &self.scratch;
        let (requests, row) = (&broker.metrics.requests, self.taken.row);
        let mut well = 1;
        for (asked, found) in asked.iter().zip(found) {
            if let Ok(partition) = &asked.partition {
                partition.traffic.fetched(found.records_bytes() as u64, found.error);
            }
            match found.error {
                ErrorCode::None => well += u64::from(found.is_listed),
                error => requests.errors(row, error.code(), 1),
            }
        }
        requests.errors(row, ErrorCode::None.code(), well);
    }
}

/// Waits from now on, even where it is not yet polled because answers before it wait.
fn wait(broker: Arc<Broker>, fetch: Fetch) -> impl Future<Output = Out> {
    let waiting = broker.metrics.waiting_fetches.enter();
    let (taken, waited_from_us) = (fetch.taken, broker.rt.mono_us());
    async move {
        let out = enough(&broker, fetch, waited_from_us / 1000).await;
        drop(waiting);
        broker.metrics.requests.answered(taken, Some(waited_from_us), broker.rt.mono_us());
        out
    }
}

/// Waits until enough has arrived, the client's patience ends or the broker stops; then answers with what there is.
async fn enough(broker: &Broker, mut fetch: Fetch, from_ms: i64) -> Out {
    let patience_ms = i64::try_from(fetch.wait_max.as_millis()).unwrap_or(i64::MAX);
    let deadline_ms = from_ms.saturating_add(patience_ms);
    let mut stopping = broker.stopping.clone();
    let partitions: Vec<_> = fetch.scratch.asked.iter().filter_map(|asked| asked.partition.clone().ok()).collect();
    let mut total;
    loop {
        // Hung up before looking: what is appended afterwards wakes it. It asks for all that is missing at most, so that a
        // wake-up too many can be, and none too few.
        let missing = Missing::bytes(i64::try_from(fetch.bytes_min).unwrap_or(i64::MAX));
        let hung: Vec<_> = partitions.iter().map(|partition| partition.waits.hang(missing.clone())).collect();
        (fetch, total) = fetch.plan_in_time(&broker.rt).await;
        if fetch.is_ready(total) {
            break;
        }
        missing.less(i64::try_from(total.records_bytes).unwrap_or(i64::MAX));
        let goes_on = tokio::select! {
            biased;
            () = missing.arrived() => true,
            () = broker.rt.sleep_until(deadline_ms) => false,
            () = stopping.told() => false,
        };
        drop(hung);
        if !goes_on {
            (fetch, _) = fetch.plan_in_time(&broker.rt).await;
            break;
        }
    }
    let mut out = Out::default();
    fetch.answer(broker, &mut out);
    out
}

/// The partitions that a request names, those that are not there last. One that is named twice is asked once, at the later
/// offset.
fn ask_named(broker: &Broker, client: &Client, request: &Request<'_>, asked: &mut Vec<Asked>) {
    let published = broker.published();
    let count: usize = request.topics.into_iter().map(|topic| topic.partitions.len()).sum();
    let mut places = (count > SCANNED_MAX).then(BTreeMap::new);
    for topic in request.topics {
        let key = topic.named.key();
        let known = published.topics.find(key);
        let name = match (known, key) {
            (Some(known), TopicKey::Name(_)) => Topic::Name(known.name.clone()),
            (_, key) => Topic::from(key),
        };
        for partition in topic.partitions {
            let index = partition.index;
            let twice = match &mut places {
                None => asked.iter().position(|asked| asked.index == index && asked.topic == name),
                Some(places) => match places.entry((name.clone(), index)) {
                    Entry::Occupied(place) => Some(*place.get()),
                    Entry::Vacant(place) => {
                        place.insert(asked.len());
                        None
                    }
                },
            };
            let ask = Ask::from(partition);
            match twice {
                Some(place) => asked[place].ask = ask,
                None => {
                    asked.push(Asked { topic: name.clone(), index, ask, partition: resolve(client, known, key, index) })
                }
            }
        }
    }
    if asked.iter().any(|asked| asked.partition.is_err()) {
        asked.sort_by_key(|asked| asked.partition.is_err());
    }
}

/// Up to so many partitions a list is searched faster than a map is filled.
const SCANNED_MAX: usize = 16;

fn ask_remembered(broker: &Broker, client: &Client, session: &Session, asked: &mut Vec<Asked>) {
    let published = broker.published();
    asked.extend(session.partitions().map(|Remembered { topic, index, ask, .. }| {
        let partition = resolve(client, published.topics.find(topic.key()), topic.key(), *index);
        Asked { topic: topic.clone(), index: *index, ask: *ask, partition }
    }));
}

fn resolve(
    client: &Client,
    topic: Option<&Arc<topics::Topic>>,
    key: TopicKey<'_>,
    index: i32,
) -> Result<Arc<Partition>, ErrorCode> {
    let topic = topic.ok_or_else(|| outcome::unknown_topic(key))?;
    if !client.may(Operation::Read, Resource::Topic(&topic.name)) {
        return Err(ErrorCode::TopicAuthorizationFailed);
    }
    topic.partition(index).cloned()
}
