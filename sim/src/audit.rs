//! Reads all there is, when nobody writes, and looks for some of it by its time.

use std::time::Duration;

use ottla_records::Scratch;
use ottla_wire::ErrorCode;

use crate::client::{Ask, Client, EARLIEST, FetchRequest, FoundOffset, Gone};
use crate::history::{Event, LogId, Marks, Sheds};
use crate::record::{Stored, Unpacked, unpack};
use crate::site::{Site, Topic};

const VERSION: i16 = 13;
const RETRY: Duration = Duration::from_millis(200);

/// Lists the topics and reads every log from its first record to its last.
pub async fn audit(site: &Site) {
    let mut client = site.client();
    let topics = loop {
        match site.list(&mut client).await {
            Ok(topics) => break topics,
            Err(Gone) => site.rt.sleep(RETRY).await,
        }
    };
    for topic in &topics {
        for log in topic.logs() {
            let (marks, stored) = whole(site, &mut client, topic, log).await;
            let records = stored.iter().map(|stored| (stored.offset, stored.record)).collect();
            site.history.note(Event::Audited { log, marks, records });
            // Of what goes of itself more may be gone by now.
            if topic.sheds() == Sheds::Nothing {
                check_times(site, &mut client, topic, log, &stored).await;
            }
        }
    }
}

/// Looks up the time of a record, and the one behind it.
async fn check_times(site: &Site, client: &mut Client, topic: &Topic, log: LogId, stored: &[Stored]) {
    if stored.is_empty() {
        return;
    }
    let time = site.dice.pick(stored).timestamp;
    for time in [time, time + 1] {
        let expected = stored.iter().find(|stored| stored.timestamp >= time);
        let expected = expected.map_or(FoundOffset { offset: -1, timestamp: -1 }, |stored| FoundOffset {
            offset: stored.offset,
            timestamp: stored.timestamp,
        });
        // Trouble that was left behind may hit this one.
        if let Ok(Ok(found)) = client.find_offset(&topic.name, log.partition, time).await
            && found != expected
        {
            site.broken(format!("{log} has {expected:?} for the time {time}, and the answer is {found:?}"));
        }
    }
}

async fn earliest(site: &Site, client: &mut Client, topic: &Topic, log: LogId) -> i64 {
    loop {
        match client.find_offset(&topic.name, log.partition, EARLIEST).await {
            Ok(Ok(found)) => return found.offset,
            _ => site.rt.sleep(RETRY).await,
        }
    }
}

async fn whole(site: &Site, client: &mut Client, topic: &Topic, log: LogId) -> (Marks, Vec<Stored>) {
    let mut start = earliest(site, client, topic, log).await;
    let (mut all, mut offset, mut scratch) = (Vec::new(), start, Scratch::default());
    loop {
        let sent = site.history.at();
        let ask = Ask { topic: topic.name.clone(), partition: log.partition, offset, max_bytes: 1 << 20 };
        let request = FetchRequest {
            max_wait_ms: 0,
            min_bytes: 1,
            max_bytes: 1 << 20,
            session_id: 0,
            session_epoch: -1,
            known: vec![topic.name.clone()],
            asks: vec![ask],
            forgotten: Vec::new(),
        };
        let part = client.fetch(&request, VERSION).await.ok().and_then(|mut answer| answer.parts.pop());
        match part {
            Some(part) if part.error == ErrorCode::None => match unpack(&part.records, &mut scratch) {
                Ok(Unpacked { records, next_offset }) => {
                    // A batch is whole, of which the first records may be deleted.
                    all.extend(records.into_iter().filter(|record| record.offset >= start));
                    offset = next_offset.unwrap_or(offset);
                    if offset >= part.marks.high_watermark {
                        return (part.marks, all);
                    }
                }
                Err(what) => {
                    site.broken(format!("audit {log}: {what}"));
                    return (part.marks, all);
                }
            },
            Some(part) => {
                site.history.note(Event::FetchRefused { sent, log, error: part.error });
                site.rt.sleep(RETRY).await;
                if part.error == ErrorCode::OffsetOutOfRange {
                    // It has gone while it was read.
                    start = earliest(site, client, topic, log).await;
                    (all, offset) = (Vec::new(), start);
                }
            }
            None => site.rt.sleep(RETRY).await,
        }
    }
}
