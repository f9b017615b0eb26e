//! Fetch sessions (KIP-227): the broker remembers which partitions a client fetches, so that a request names only what
//! changed and an answer lists only what has news.
//!
//! A session holds memory that a client asked for, so there is a bounded number of them
//! (`max.incremental.fetch.session.cache.slots`), with a bounded number of partitions, each and all together. Whoever gets
//! none is served in full each time, as without sessions.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_base::{LeaderEpoch, Map, Seed, Uuid};
use ottla_wire::ErrorCode;
use ottla_wire::TopicKey;
use ottla_wire::fetch::Request;

/// A session is not evicted for another before this time has passed since it was made, or used (KIP-227).
const EVICTION_MS: i64 = 120_000;
/// More partitions than this are served without a session.
const SESSION_PARTITIONS_MAX: usize = 50_000;
/// Partitions in all sessions: about 100 MiB.
const ALL_PARTITIONS_MAX: usize = 400_000;

/// A topic as the client names it; one session has one kind.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Topic {
    Name(Arc<str>),
    Id(Uuid),
}

impl Topic {
    pub fn key(&self) -> TopicKey<'_> {
        match self {
            Topic::Name(name) => TopicKey::Name(name),
            Topic::Id(id) => TopicKey::Id(*id),
        }
    }
}

impl From<TopicKey<'_>> for Topic {
    fn from(key: TopicKey<'_>) -> Topic {
        match key {
            TopicKey::Name(name) => Topic::Name(name.into()),
            TopicKey::Id(id) => Topic::Id(id),
        }
    }
}

/// What a client asks of one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    pub fetch_offset: i64,
    pub max_bytes: i32,
    pub current_leader_epoch: LeaderEpoch,
    pub last_fetched_epoch: LeaderEpoch,
}

/// A partition of a session.
#[derive(Clone, Debug)]
pub struct Remembered {
    pub topic: Topic,
    pub index: i32,
    pub ask: Ask,
    /// What the last answer said, to tell what is news; -1 before the first.
    log_start_offset: i64,
    high_watermark: i64,
    /// To be listed in the next answer, whatever it holds: newly added, or in error.
    must_list: bool,
}

#[derive(Debug)]
pub struct Session {
    pub id: i32,
    /// Epoch of the next request; 0 is never expected, -1 ends the session.
    epoch: i32,
    by_id: bool,
    made_ms: i64,
    used_ms: i64,
    next_place: u64,
    /// In the order of answers: a partition that gave records goes to the end, so that none starves.
    partitions: BTreeMap<u64, Remembered>,
    places: Map<(Topic, i32), u64>,
    /// Partitions in all sessions.
    all: Arc<AtomicUsize>,
}

/// What a request is in the eyes of sessions.
#[derive(Debug)]
pub enum Opened {
    /// Served in full, nothing remembered.
    Sessionless,
    /// Served in full, and remembered from now on.
    New(Arc<Mutex<Session>>),
    /// Served from what is remembered; [`Session::partitions`] has all of it.
    Known(Arc<Mutex<Session>>),
    Refused(ErrorCode),
}

#[derive(Debug)]
pub struct Sessions {
    slots_max: usize,
    seed: Seed,
    list: Mutex<BTreeMap<i32, Arc<Mutex<Session>>>>,
    /// Partitions in all sessions.
    all: Arc<AtomicUsize>,
    /// Sessions that made room for others.
    evicted: AtomicU64,
}

/// How many there are.
#[derive(Clone, Copy, Debug)]
pub struct Numbers {
    pub sessions: usize,
    pub partitions: usize,
    /// Since the start.
    pub evicted: u64,
}

impl Sessions {
    pub fn new(slots_max: usize, seed: Seed) -> Sessions {
        Sessions { slots_max, seed, list: Mutex::default(), all: Arc::default(), evicted: AtomicU64::new(0) }
    }

    pub fn numbers(&self) -> Numbers {
        Numbers {
            sessions: self.list().len(),
            partitions: self.all.load(Ordering::Relaxed),
            evicted: self.evicted.load(Ordering::Relaxed),
        }
    }

    /// Finds or makes the session that a request speaks of. `draw` gives ids for new ones.
    pub fn open(
        &self,
        request: &Request<'_>,
        by_id: bool,
        now_ms: impl FnOnce() -> i64,
        draw: impl FnMut() -> i32,
    ) -> Opened {
        match request.session_epoch {
            -1 => {
                self.close(request.session_id);
                Opened::Sessionless
            }
            0 => {
                self.close(request.session_id);
                self.make(request, by_id, now_ms(), draw).map_or(Opened::Sessionless, Opened::New)
            }
            epoch => self.go_on(request, epoch, by_id, now_ms()),
        }
    }

    fn close(&self, id: i32) {
        self.list().remove(&id);
    }

    fn go_on(&self, request: &Request<'_>, epoch: i32, by_id: bool, now_ms: i64) -> Opened {
        let Some(known) = self.list().get(&request.session_id).cloned() else {
            return Opened::Refused(ErrorCode::FetchSessionIdNotFound);
        };
        let mut session = lock(&known);
        if session.epoch != epoch {
            return Opened::Refused(ErrorCode::InvalidFetchSessionEpoch);
        }
        if session.by_id != by_id {
            return Opened::Refused(ErrorCode::FetchSessionTopicIdError);
        }
        session.epoch = if epoch == i32::MAX { 1 } else { epoch + 1 };
        session.used_ms = now_ms;
        let before = session.partitions.len();
        session.update(request);
        let now = session.partitions.len();
        if now > SESSION_PARTITIONS_MAX || now > before && self.all.load(Ordering::Relaxed) > ALL_PARTITIONS_MAX {
            drop(session);
            self.close(request.session_id);
            return Opened::Refused(ErrorCode::FetchSessionIdNotFound);
        }
        drop(session);
        Opened::Known(known)
    }

    /// `None` where there is no room for it.
    fn make(
        &self,
        request: &Request<'_>,
        by_id: bool,
        now_ms: i64,
        mut draw: impl FnMut() -> i32,
    ) -> Option<Arc<Mutex<Session>>> {
        let count: usize = request.topics.into_iter().map(|topic| topic.partitions.len()).sum();
        if count == 0 || count > SESSION_PARTITIONS_MAX {
            return None;
        }
        if self.all.load(Ordering::Relaxed) + count > ALL_PARTITIONS_MAX {
            return None;
        }
        let mut list = self.list();
        if list.len() >= self.slots_max {
            let evicted = evictable(&list, count, now_ms)?;
            list.remove(&evicted);
            self.evicted.fetch_add(1, Ordering::Relaxed);
        }
        let id = loop {
            let id = draw() & i32::MAX;
            if id != 0 && !list.contains_key(&id) {
                break id;
            }
        };
        let mut session = Session {
            id,
            epoch: 1,
            by_id,
            made_ms: now_ms,
            used_ms: now_ms,
            next_place: 0,
            partitions: BTreeMap::new(),
            places: Map::with_hasher(self.seed),
            all: self.all.clone(),
        };
        session.update(request);
        let session = Arc::new(Mutex::new(session));
        list.insert(id, session.clone());
        Some(session)
    }

    fn list(&self) -> MutexGuard<'_, BTreeMap<i32, Arc<Mutex<Session>>>> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The session that makes room for one of `count` partitions: the one unused for longest, or else the smallest that is
/// smaller and has had its time.
fn evictable(list: &BTreeMap<i32, Arc<Mutex<Session>>>, count: usize, now_ms: i64) -> Option<i32> {
    let had_its_time = |since_ms: i64| now_ms - since_ms > EVICTION_MS;
    let unused = list.values().map(|session| lock(session)).min_by_key(|session| session.used_ms)?;
    if had_its_time(unused.used_ms) {
        return Some(unused.id);
    }
    drop(unused);
    let smallest = list
        .values()
        .map(|session| lock(session))
        .filter(|session| had_its_time(session.made_ms))
        .min_by_key(|session| session.partitions.len())?;
    (smallest.partitions.len() < count).then_some(smallest.id)
}

pub fn lock(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Drop for Session {
    fn drop(&mut self) {
        self.all.fetch_sub(self.partitions.len(), Ordering::Relaxed);
    }
}

impl Session {
    /// Everything the client fetches, in the order in which it is to be served.
    pub fn partitions(&self) -> impl Iterator<Item = &Remembered> {
        self.partitions.values()
    }

    /// Takes note of what an answer found in one partition; tells whether the answer must list it.
    pub fn answered(&mut self, topic: &Topic, index: i32, news: News) -> bool {
        let Some(place) = self.places.get(&(topic.clone(), index)).copied() else { return true };
        let Some(remembered) = self.partitions.get_mut(&place) else { return true };
        let is_news = news.log_start_offset != remembered.log_start_offset
            || news.high_watermark != remembered.high_watermark
            || news.records_bytes > 0;
        let listed = is_news || remembered.must_list;
        remembered.must_list = news.is_error;
        remembered.log_start_offset = news.log_start_offset;
        remembered.high_watermark = news.high_watermark;
        if news.records_bytes > 0 {
            self.move_to_end(place);
        }
        listed
    }

    fn update(&mut self, request: &Request<'_>) {
        self.all.fetch_sub(self.partitions.len(), Ordering::Relaxed);
        self.update_partitions(request);
        self.all.fetch_add(self.partitions.len(), Ordering::Relaxed);
    }

    fn update_partitions(&mut self, request: &Request<'_>) {
        for topic in request.forgotten_topics {
            let name = Topic::from(topic.named.key());
            for index in topic.partitions {
                if let Some(place) = self.places.remove(&(name.clone(), index)) {
                    self.partitions.remove(&place);
                }
            }
        }
        for topic in request.topics {
            let name = Topic::from(topic.named.key());
            for partition in topic.partitions {
                self.remember(&name, partition.index, Ask::from(partition));
            }
        }
    }

    fn remember(&mut self, topic: &Topic, index: i32, ask: Ask) {
        let known = self.places.get(&(topic.clone(), index)).and_then(|place| self.partitions.get_mut(place));
        if let Some(known) = known {
            known.ask = ask;
            return;
        }
        let remembered =
            Remembered { topic: topic.clone(), index, ask, log_start_offset: -1, high_watermark: -1, must_list: true };
        self.places.insert((topic.clone(), index), self.next_place);
        self.partitions.insert(self.next_place, remembered);
        self.next_place += 1;
    }

    fn move_to_end(&mut self, place: u64) {
        let Some(remembered) = self.partitions.remove(&place) else { return };
        self.places.insert((remembered.topic.clone(), remembered.index), self.next_place);
        self.partitions.insert(self.next_place, remembered);
        self.next_place += 1;
    }
}

/// What an answer says of one partition, as far as a session cares.
#[derive(Clone, Copy, Debug)]
pub struct News {
    pub is_error: bool,
    pub log_start_offset: i64,
    pub high_watermark: i64,
    pub records_bytes: usize,
}

impl From<ottla_wire::fetch::Partition> for Ask {
    fn from(partition: ottla_wire::fetch::Partition) -> Ask {
        Ask {
            fetch_offset: partition.fetch_offset,
            max_bytes: partition.max_bytes,
            current_leader_epoch: partition.current_leader_epoch,
            last_fetched_epoch: partition.last_fetched_epoch,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ottla_wire::{Reader, Writer};

    const EVERYBODY: &[(u8, i32)] = &[(1, 0), (1, 1), (2, 0)];

    /// The body of a Fetch v13 for partitions (topic, index), all at one offset.
    fn body(session: (i32, i32), offset: i64, partitions: &[(u8, i32)], forgotten: &[(u8, i32)]) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut w = Writer::new(&mut bytes);
        for head in [-1, 500, 1, 1 << 20] {
            w.i32(head); // replica, wait, bytes
        }
        w.i8(0);
        w.i32(session.0);
        w.i32(session.1);
        w.uvarint(partitions.len() as u32 + 1);
        for (topic, index) in partitions {
            w.uuid(Uuid([*topic; 16]));
            w.uvarint(2);
            w.i32(*index);
            w.i32(-1);
            w.i64(offset);
            w.i32(-1);
            w.i64(-1);
            w.i32(1 << 20);
            w.uvarint(0);
            w.uvarint(0);
        }
        w.uvarint(forgotten.len() as u32 + 1);
        for (topic, index) in forgotten {
            w.uuid(Uuid([*topic; 16]));
            w.uvarint(2);
            w.i32(*index);
            w.uvarint(0);
        }
        w.uvarint(1); // rack
        w.uvarint(0);
        bytes
    }

    struct Client {
        sessions: Sessions,
        now_ms: i64,
        next_id: i32,
    }

    impl Client {
        fn with_slots(slots_max: usize) -> Client {
            Client { sessions: Sessions::new(slots_max, Seed::new(1)), now_ms: 0, next_id: 0 }
        }

        fn fetch(&mut self, session: (i32, i32), partitions: &[(u8, i32)], forgotten: &[(u8, i32)]) -> Opened {
            let body = body(session, 7, partitions, forgotten);
            let request = Request::decode(&mut Reader::new(&body), 13).unwrap();
            let next_id = &mut self.next_id;
            self.sessions.open(
                &request,
                true,
                || self.now_ms,
                || {
                    *next_id += 1;
                    *next_id
                },
            )
        }

        fn begin(&mut self, partitions: &[(u8, i32)]) -> Option<Arc<Mutex<Session>>> {
            match self.fetch((0, 0), partitions, &[]) {
                Opened::New(session) => Some(session),
                Opened::Sessionless => None,
                other => panic!("{other:?}"),
            }
        }
    }

    fn listed(session: &Mutex<Session>) -> Vec<(u8, i32)> {
        let of = |topic: &Topic| match topic {
            Topic::Id(id) => id.0[0],
            Topic::Name(name) => panic!("{name}"),
        };
        lock(session).partitions().map(|partition| (of(&partition.topic), partition.index)).collect()
    }

    fn news(records_bytes: usize) -> News {
        News { is_error: false, log_start_offset: 0, high_watermark: 10, records_bytes }
    }

    #[test]
    fn a_session_goes_from_epoch_to_epoch() {
        let mut client = Client::with_slots(9);
        let session = client.begin(EVERYBODY).unwrap();
        assert_eq!(listed(&session), EVERYBODY);
        let id = lock(&session).id;
        assert!(matches!(client.fetch((id, 1), &[], &[]), Opened::Known(_)));
        let stale = |opened| matches!(opened, Opened::Refused(ErrorCode::InvalidFetchSessionEpoch));
        assert!(stale(client.fetch((id, 1), &[], &[])), "the epoch before");
        assert!(stale(client.fetch((id, 3), &[], &[])), "an epoch to come");
        assert!(matches!(client.fetch((id, 2), &[], &[]), Opened::Known(_)), "it stays usable");
        let unknown = |opened| matches!(opened, Opened::Refused(ErrorCode::FetchSessionIdNotFound));
        assert!(unknown(client.fetch((id + 1, 1), &[], &[])));
        assert!(matches!(client.fetch((id, -1), EVERYBODY, &[]), Opened::Sessionless), "which ends it");
        assert!(unknown(client.fetch((id, 3), &[], &[])));
    }

    #[test]
    fn partitions_come_and_go() {
        let mut client = Client::with_slots(9);
        let session = client.begin(EVERYBODY).unwrap();
        let id = lock(&session).id;
        client.fetch((id, 1), &[(3, 5)], &[(1, 0)]);
        assert_eq!(listed(&session), [(1, 1), (2, 0), (3, 5)]);
    }

    #[test]
    fn an_answer_lists_what_is_news() {
        let mut client = Client::with_slots(9);
        let session = client.begin(EVERYBODY).unwrap();
        let topic = Topic::Id(Uuid([1; 16]));
        let mut session_ = lock(&session);
        let mut told = |news| session_.answered(&topic, 0, news);
        assert!(told(news(0)), "the first time");
        assert!(!told(news(0)));
        assert!(told(news(5)), "records");
        assert!(told(News { high_watermark: 11, ..news(0) }), "another high watermark");
        assert!(told(News { high_watermark: 11, log_start_offset: 3, ..news(0) }), "another start");
        let error = News { is_error: true, log_start_offset: -1, high_watermark: -1, records_bytes: 0 };
        assert!(told(error) && told(error), "an error, every time");
    }

    #[test]
    fn who_gave_records_is_served_last() {
        let mut client = Client::with_slots(9);
        let session = client.begin(EVERYBODY).unwrap();
        lock(&session).answered(&Topic::Id(Uuid([1; 16])), 0, news(5));
        assert_eq!(listed(&session), [(1, 1), (2, 0), (1, 0)]);
    }

    #[test]
    fn there_is_room_for_so_many_partitions_and_no_more() {
        let mut client = Client::with_slots(1000);
        let partitions: Vec<_> = (0..40_000).map(|index| (1, index)).collect();
        let sessions: Vec<_> = (0..10).map(|_| client.begin(&partitions).unwrap()).collect();
        assert!(client.begin(&[(1, 0)]).is_none(), "the eleventh is served without a session");
        let id = lock(&sessions[0]).id;
        drop(sessions);
        assert!(matches!(
            client.fetch((id, 1), &[(1, 40_000)], &[]),
            Opened::Refused(ErrorCode::FetchSessionIdNotFound)
        ));
        assert!(client.begin(&[(1, 0)]).is_some(), "a session that ends makes room");
    }

    #[test]
    fn names_and_ids_do_not_mix() {
        let mut client = Client::with_slots(9);
        let id = lock(&client.begin(EVERYBODY).unwrap()).id;
        let body = body((id, 1), 0, &[], &[]);
        let request = Request::decode(&mut Reader::new(&body), 13).unwrap();
        let opened = client.sessions.open(&request, false, || 0, || unreachable!());
        assert!(matches!(opened, Opened::Refused(ErrorCode::FetchSessionTopicIdError)));
    }

    #[test]
    fn room_is_made_by_who_had_its_time() {
        let mut client = Client::with_slots(2);
        let small = lock(&client.begin(&[(1, 0)]).unwrap()).id;
        let large = lock(&client.begin(EVERYBODY).unwrap()).id;
        assert!(client.begin(EVERYBODY).is_none(), "both are new");
        client.now_ms = EVICTION_MS + 1;
        // Both are in use; only the smaller one may be evicted, and only for a larger one.
        client.fetch((small, 1), &[], &[]);
        client.fetch((large, 1), &[], &[]);
        assert!(client.begin(&[(1, 0)]).is_none());
        assert!(client.begin(EVERYBODY).is_some());
        assert!(matches!(client.fetch((small, 2), &[], &[]), Opened::Refused(_)));
        assert!(matches!(client.fetch((large, 2), &[], &[]), Opened::Known(_)));
        client.now_ms *= 2;
        client.now_ms += 1;
        assert!(client.begin(&[(1, 0)]).is_some(), "one was not used for long");
    }
}
