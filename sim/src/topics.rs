//! Somebody who makes topics and deletes them again, and looks what there is.

use std::time::Duration;

use ottla_base::Uuid;
use ottla_rt::Stop;

use crate::client::{Client, Gone, TopicName};
use crate::history::{Keeps, Sheds};
use crate::producer::{Kind, Orders, Producer, VERSIONS_WITH_IDS};
use crate::site::{Deletion, NewTopic, Site, Topic};

const KINDS: &[(&str, Sheds)] = &[("x", Sheds::Nothing), ("y", Sheds::Old), ("z", Sheds::Overwritten)];
const RETRY: Duration = Duration::from_millis(100);

/// Makes a topic, and tries until it is there.
pub async fn create(site: &Site, client: &mut Client, new: &NewTopic) -> Topic {
    loop {
        let _ = site.create(client, new).await;
        if let Ok(topics) = site.list(client).await
            && let Some(topic) = topics.into_iter().find(|topic| topic.name.name == new.name)
        {
            return topic;
        }
        site.rt.sleep(RETRY).await;
    }
}

/// Makes and deletes topics until `stop` is told. Their producers have numbers from `first_number` on.
pub async fn come_and_go(site: Site, first_number: u32, mut stop: Stop) {
    let mut client = site.client();
    let mut next_number = first_number;
    while site.rt.timeout(Duration::from_millis(site.dice.within(100..=2000)), stop.told()).await.is_none() {
        // Gone: whatever was asked may come true or not, and the next look tells.
        let _ = once(&site, &mut client, &mut next_number).await;
    }
}

async fn once(site: &Site, client: &mut Client, next_number: &mut u32) -> Result<(), Gone> {
    let topics = site.list(client).await?;
    let keeps = site.dice.pick(&[Keeps::Synced, Keeps::Cached]);
    let (name, sheds) = site.dice.pick(KINDS);
    let new = NewTopic::draw(&site.dice, name, (keeps, sheds), site.dice.within(1..=3) as i32);
    match topics.iter().find(|topic| topic.name.name == new.name) {
        Some(Topic { name: TopicName { id, .. }, .. }) => delete(site, client, *id).await,
        None => {
            site.create(client, &new).await?;
            let Some(topic) = site.list(client).await?.into_iter().find(|topic| topic.name.name == new.name) else {
                return Ok(());
            };
            let kind = site.dice.pick(&[Kind::Idempotent, Kind::Plain(1)]);
            let orders = Orders {
                kind,
                topic,
                batches: site.dice.within(0..=if sheds == Sheds::Nothing { 6 } else { 20 }) as u32,
                first_number: *next_number,
                versions: VERSIONS_WITH_IDS,
            };
            *next_number += orders.topic.partitions as u32;
            let producer = Producer::new(site.clone(), orders);
            // Those that the broker keeps from finishing are left behind when their topic goes.
            site.rt.timeout(Duration::from_secs(5), producer.run(200)).await;
            Ok(())
        }
    }
}

/// Deletes a topic that is there, and tries again where the outcome is not known.
async fn delete(site: &Site, client: &mut Client, id: Uuid) -> Result<(), Gone> {
    let first = site.delete(client, id).await;
    if first == Ok(Deletion::WasGone) && site.history.deletions(id) == 1 {
        site.broken(format!("topic {id} was there, nobody deleted it, and now it is unknown"));
    }
    if first != Ok(Deletion::Done) || site.dice.one_in(4) {
        let again = site.delete(client, id).await?;
        if first == Ok(Deletion::Done) && again == Deletion::Done {
            site.broken(format!("topic {id} was deleted twice"));
        }
    }
    Ok(())
}
