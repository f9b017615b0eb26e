//! Somebody who moves replicas from one log directory to the other, and back.

use std::time::Duration;

use ottla_rt::Stop;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest};

use crate::client::{Client, Gone};
use crate::history::Event;
use crate::machine::DIRECTORIES;
use crate::site::Site;

const ALTER_REPLICA_LOG_DIRS: i16 = 2;

/// Asks for moves until `stop` is told.
pub async fn move_about(site: Site, mut stop: Stop) {
    let mut client = site.client();
    while site.rt.timeout(Duration::from_millis(site.dice.within(100..=4000)), stop.told()).await.is_none() {
        // Gone: it may have been asked for or not.
        let _ = move_one(&site, &mut client).await;
    }
}

async fn move_one(site: &Site, client: &mut Client) -> Result<(), Gone> {
    let topics = site.list(client).await?;
    let logs: Vec<_> =
        topics.iter().enumerate().flat_map(|(at, topic)| topic.logs().map(move |log| (at, log))).collect();
    if logs.is_empty() {
        return Ok(());
    }
    let (at, log) = site.dice.pick(&logs);
    let topic = &topics[at];
    let partitions = vec![log.partition];
    let asked = AlterReplicaLogDirTopic { name: topic.name.name.as_str().into(), partitions, ..Default::default() };
    let path = site.dice.pick(&DIRECTORIES).into();
    let request = AlterReplicaLogDirsRequest {
        dirs: vec![AlterReplicaLogDir { path, topics: vec![asked], ..Default::default() }],
        ..Default::default()
    };
    site.history.note(Event::MoveSent { log });
    let response = client.call(&request, ALTER_REPLICA_LOG_DIRS).await?;
    let codes = response.results.iter().flat_map(|topic| &topic.partitions).map(|partition| partition.error_code);
    match codes.map(ErrorCode::from_code).collect::<Vec<_>>()[..] {
        [Some(ErrorCode::None | ErrorCode::KafkaStorageError | ErrorCode::UnknownTopicOrPartition)] => {}
        ref codes => site.broken(format!("a move of {log}: {codes:?}")),
    }
    Ok(())
}
