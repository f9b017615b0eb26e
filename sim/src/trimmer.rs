//! Somebody who deletes the first records of logs that come and go.
//!
//! DeleteRecords names a topic, and so does not say which one of that name is meant; what it was asked for counts for all.

use std::time::Duration;

use ottla_rt::Stop;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{DeleteRecordsPartition, DeleteRecordsRequest, DeleteRecordsTopic};

use crate::client::{Client, Gone, LATEST};
use crate::history::{Event, Sheds};
use crate::site::{Site, Topic};

const DELETE_RECORDS: i16 = 2;
const TIMEOUT_MS: i32 = 3000;

/// Asks for deletions until `stop` is told, but not of the topics `but`, whose readers want all records.
pub async fn trim(site: Site, but: Vec<Topic>, mut stop: Stop) {
    let mut client = site.client();
    while site.rt.timeout(Duration::from_millis(site.dice.within(50..=1500)), stop.told()).await.is_none() {
        // Gone: the records may be, too.
        let _ = trim_one(&site, &but, &mut client).await;
    }
}

async fn trim_one(site: &Site, but: &[Topic], client: &mut Client) -> Result<(), Gone> {
    let mut topics = site.list(client).await?;
    topics.retain(|topic| but.iter().all(|other| other.name.name != topic.name.name));
    // Refused where records go by their keys.
    topics.retain(|topic| topic.sheds() != Sheds::Overwritten);
    let logs: Vec<_> =
        topics.iter().enumerate().flat_map(|(at, topic)| topic.logs().map(move |log| (at, log))).collect();
    if logs.is_empty() {
        return Ok(());
    }
    let (at, log) = site.dice.pick(&logs);
    let name = &topics[at].name;
    let Ok(end) = client.find_offset(name, log.partition, LATEST).await? else { return Ok(()) };
    let before = site.dice.within(0..=u64::try_from(end.offset).unwrap_or(0)) as i64;
    let asked = DeleteRecordsPartition { partition_index: log.partition, offset: before, ..Default::default() };
    let topic = DeleteRecordsTopic { name: name.name.as_str().into(), partitions: vec![asked], ..Default::default() };
    let request = DeleteRecordsRequest { topics: vec![topic], timeout_ms: TIMEOUT_MS, ..Default::default() };
    site.history.note(Event::TrimSent { topic: name.name.clone(), partition: log.partition, before });
    let response = client.call(&request, DELETE_RECORDS).await?;
    let [answer] = response.topics.iter().flat_map(|topic| &topic.partitions).collect::<Vec<_>>()[..] else {
        site.broken(format!("a deletion of records of {log} is answered with {:?}", response.topics));
        return Ok(());
    };
    match ErrorCode::from_code(answer.error_code) {
        Some(ErrorCode::None) => site.history.note(Event::Trimmed { log, start: answer.low_watermark }),
        Some(
            ErrorCode::KafkaStorageError
            | ErrorCode::UnknownTopicOrPartition
            | ErrorCode::NotLeaderOrFollower
            | ErrorCode::OffsetOutOfRange,
        ) => {}
        other => site.broken(format!("a deletion of records of {log}: {other:?}")),
    }
    Ok(())
}
