//! A reader: follows the logs of some topics with long polls, in fetch sessions or without.

use std::collections::BTreeMap;
use std::time::Duration;

use ottla_records::Scratch;
use ottla_rt::Stop;
use ottla_wire::ErrorCode;

use crate::client::{Ask, Client, EARLIEST, FetchAnswer, FetchPart, FetchRequest, Gone, LATEST, TopicName};
use crate::history::{At, Event, LogId, Marks};
use crate::record::{Unpacked, unpack};
use crate::site::{Site, Topic};

const VERSIONS: &[i16] = &[4, 5, 7, 9, 11, 12, 13, 15, 16, 17, 18];
/// The first version with sessions (KIP-227).
const SESSIONS_FROM: i16 = 7;

#[derive(Debug)]
pub struct Reader {
    site: Site,
    topics: Vec<TopicName>,
    logs: BTreeMap<LogId, Position>,
    version: i16,
    session: Session,
    scratch: Scratch,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    /// Of the next record that is wanted.
    offset: i64,
    high_watermark: i64,
    /// The session knows another offset, or nothing of this log.
    is_news: bool,
}

#[derive(Clone, Copy, Debug)]
enum Session {
    Never,
    Next { id: i32, epoch: i32 },
}

impl Session {
    const BEGIN: Session = Session::Next { id: 0, epoch: 0 };
}

impl Reader {
    pub fn new(site: Site, topics: &[Topic]) -> Reader {
        let version = site.dice.pick(VERSIONS);
        let has_sessions = version >= SESSIONS_FROM && site.dice.one_in(2);
        Reader {
            topics: topics.iter().map(|topic| topic.name.clone()).collect(),
            logs: topics.iter().flat_map(|topic| topic.logs().map(|log| (log, Position::default()))).collect(),
            version,
            session: if has_sessions { Session::BEGIN } else { Session::Never },
            site,
            scratch: Scratch::default(),
        }
    }

    /// Until `stop` is told, and then until everything is read.
    pub async fn run(mut self, mut stop: Stop) {
        let mut client = self.site.client();
        let mut is_last = false;
        loop {
            let is_told = self.site.rt.timeout(Duration::ZERO, stop.told()).await.is_some();
            let answered = self.round(&mut client).await.is_ok();
            let has_all = self.logs.values().all(|position| position.offset == position.high_watermark);
            // What was answered to the round before may have been old news.
            if is_last && answered && has_all {
                return;
            }
            is_last = is_told && answered;
            let pause_ms = if answered { self.site.dice.within(0..=60) } else { self.site.dice.within(50..=400) };
            self.site.rt.sleep(Duration::from_millis(pause_ms)).await;
        }
    }

    async fn round(&mut self, client: &mut Client) -> Result<(), Gone> {
        if self.site.dice.one_in(40) {
            client.hang_up();
        }
        if self.site.dice.one_in(10) {
            return self.ask_ends(client).await;
        }
        let request = self.request();
        let sent = self.site.history.at();
        let answer = client.fetch(&request, self.version).await;
        match answer {
            Ok(answer) => self.take_answer(sent, &request, answer),
            Err(Gone) => {
                self.begin_session();
                Err(Gone)
            }
        }
    }

    /// Asks where a log begins and ends, without reading it.
    async fn ask_ends(&self, client: &mut Client) -> Result<(), Gone> {
        let Site { history, dice, .. } = &self.site;
        let logs: Vec<LogId> = self.logs.keys().copied().collect();
        let log = dice.pick(&logs);
        let Some(topic) = self.topics.iter().find(|topic| topic.id == log.topic) else { return Ok(()) };
        let sent = history.at();
        let mut ends = [0; 2];
        for (end, time) in ends.iter_mut().zip([EARLIEST, LATEST]) {
            match client.find_offset(topic, log.partition, time).await? {
                Ok(found) => *end = found.offset,
                Err(error) => {
                    history.note(Event::FetchRefused { sent, log, error });
                    return Err(Gone);
                }
            }
        }
        history.note(Event::Ends { sent, log, marks: Marks { start: ends[0], high_watermark: ends[1] } });
        Ok(())
    }

    fn request(&mut self) -> FetchRequest {
        let dice = self.site.dice.clone();
        let (session_id, session_epoch) = match self.session {
            Session::Never => (0, -1),
            Session::Next { id, epoch } => (id, epoch),
        };
        let in_session = session_epoch > 0;
        let name = |log: &LogId| self.topics.iter().find(|topic| topic.id == log.topic).cloned();
        let mut forgotten = Vec::new();
        if in_session && dice.one_in(15) {
            let logs: Vec<LogId> = self.logs.iter().filter(|(_, at)| !at.is_news).map(|(log, _)| *log).collect();
            if !logs.is_empty() {
                // It comes back with the next request.
                let log = dice.pick(&logs);
                forgotten.extend(name(&log).map(|topic| (topic, log.partition)));
            }
        }
        let max_bytes = dice.pick(&[200, 2000, 1 << 20]);
        let mut asks = Vec::new();
        for (log, position) in &mut self.logs {
            let is_forgotten =
                forgotten.iter().any(|(topic, partition)| topic.id == log.topic && *partition == log.partition);
            if !in_session || position.is_news {
                let topic = self.topics.iter().find(|topic| topic.id == log.topic).cloned();
                asks.extend(topic.map(|topic| Ask {
                    topic,
                    partition: log.partition,
                    offset: position.offset,
                    max_bytes,
                }));
            }
            position.is_news = is_forgotten;
        }
        FetchRequest {
            max_wait_ms: dice.pick(&[0, 100, 500, 1500]),
            min_bytes: dice.pick(&[1, 1, 500, 5000]),
            max_bytes: dice.pick(&[1, 3000, 1 << 20]),
            session_id,
            session_epoch,
            asks,
            forgotten,
            known: self.topics.clone(),
        }
    }

    fn take_answer(&mut self, sent: At, request: &FetchRequest, answer: FetchAnswer) -> Result<(), Gone> {
        match answer.error {
            ErrorCode::None => {}
            ErrorCode::FetchSessionIdNotFound | ErrorCode::InvalidFetchSessionEpoch => {
                self.begin_session();
                return Err(Gone);
            }
            error => {
                self.site.broken(format!("a fetch: {error}"));
                self.begin_session();
                return Err(Gone);
            }
        }
        if let Session::Next { id, epoch } = &mut self.session {
            *id = answer.session_id;
            // Without an id the broker had no room for a session.
            *epoch = if answer.session_id == 0 { 0 } else { *epoch + 1 };
        }
        let told: Vec<_> = answer.parts.iter().map(|part| part.log).collect();
        let is_whole = request.session_epoch > 0 || self.logs.keys().all(|log| told.contains(log));
        if !is_whole {
            self.site.broken(format!("a fetch of {} logs tells of {told:?}", self.logs.len()));
        }
        let mut is_well = Ok(());
        for part in answer.parts {
            if self.take_part(sent, part).is_err() {
                is_well = Err(Gone);
            }
        }
        is_well
    }

    fn take_part(&mut self, sent: At, FetchPart { log, error, marks, records }: FetchPart) -> Result<(), Gone> {
        let Site { history, .. } = &self.site;
        let Some(position) = self.logs.get_mut(&log) else {
            self.site.broken(format!("a fetch tells of {log}, which it was not asked for"));
            return Err(Gone);
        };
        if error != ErrorCode::None {
            history.note(Event::FetchRefused { sent, log, error });
            if error == ErrorCode::OffsetOutOfRange {
                *position = Position { is_news: true, ..Position::default() };
            }
            return Err(Gone);
        }
        let offset = position.offset;
        match unpack(&records, &mut self.scratch) {
            Err(what) => {
                self.site.broken(format!("read {log} from {offset}: {what}"));
                return Err(Gone);
            }
            Ok(Unpacked { records, .. }) => {
                position.high_watermark = marks.high_watermark;
                if let Some(last) = records.last() {
                    position.offset = last.offset + 1;
                    position.is_news = true;
                }
                let goes_on = position.offset > offset;
                let is_empty = records.is_empty();
                let records = records.iter().map(|stored| (stored.offset, stored.record)).collect();
                history.note(Event::Fetched { sent, log, offset, marks, records });
                if !is_empty && !goes_on {
                    self.site.broken(format!("read {log} from {offset}: only records before that"));
                }
            }
        }
        Ok(())
    }

    fn begin_session(&mut self) {
        if let Session::Next { .. } = self.session {
            self.session = Session::BEGIN;
        }
    }
}
