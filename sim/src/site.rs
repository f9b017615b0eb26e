//! What the clients of one broker share.

use std::net::SocketAddr;

use ottla_base::Uuid;
use ottla_net::MemoryNetwork;
use ottla_rt::Rt;
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest, MetadataRequest,
};

use crate::client::{Client, Gone, TopicName};
use crate::dice::Dice;
use crate::history::{Event, History, Keeps, LogId, Sheds};

/// Versions that know topic ids.
const METADATA: i16 = 12;
const CREATE_TOPICS: i16 = 7;
const DELETE_TOPICS: i16 = 6;
const TIMEOUT_MS: i32 = 3000;

#[derive(Clone, Debug)]
pub struct Site {
    pub rt: Rt,
    pub dice: Dice,
    pub network: MemoryNetwork,
    pub broker: SocketAddr,
    pub history: History,
}

#[derive(Clone, Debug)]
pub struct Topic {
    pub name: TopicName,
    pub partitions: i32,
}

/// What a topic is made with. Its name says what it keeps and sheds, so that one that was found is known for what it is.
#[derive(Clone, Debug)]
pub struct NewTopic {
    pub name: String,
    pub partitions: i32,
    pub configs: Vec<(&'static str, String)>,
}

/// What became of an attempt to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deletion {
    Done,
    WasGone,
    Refused,
}

impl Topic {
    pub fn logs(&self) -> impl Iterator<Item = LogId> + use<> {
        let topic = self.name.id;
        (0..self.partitions).map(move |partition| LogId { topic, partition })
    }
}

impl NewTopic {
    /// Draws the settings that make a log roll, pack and flush in its own way.
    pub fn draw(dice: &Dice, name: &str, (keeps, sheds): (Keeps, Sheds), partitions: i32) -> NewTopic {
        let mut configs = vec![
            ("internal.segment.bytes", dice.within(1500..=20_000).to_string()),
            ("index.interval.bytes", dice.pick(&[0_u64, 300, 4096]).to_string()),
            ("file.delete.delay.ms", dice.within(0..=3000).to_string()),
        ];
        if keeps == Keeps::Synced {
            configs.push(("flush.messages", "1".to_owned()));
        } else {
            // Not what the broker says for groups.
            configs.push(("flush.messages", i64::MAX.to_string()));
            if dice.one_in(3) {
                configs.push(("flush.ms", dice.within(1..=2000).to_string()));
            }
        }
        if dice.one_in(3) {
            configs.push(("message.timestamp.type", "LogAppendTime".to_owned()));
        }
        // Nothing is shed of the segment that is written to.
        let (rolls_in, latest_ms) = if sheds == Sheds::Nothing { (3, 5000) } else { (1, 1000) };
        if dice.one_in(rolls_in) {
            configs.push(("segment.ms", dice.within(100..=latest_ms).to_string()));
        }
        match sheds {
            Sheds::Nothing => {}
            Sheds::Old if dice.one_in(2) => configs.push(("retention.ms", dice.within(200..=3000).to_string())),
            Sheds::Old => configs.push(("retention.bytes", dice.within(0..=3000).to_string())),
            Sheds::Overwritten => {
                configs.push(("cleanup.policy", "compact".to_owned()));
                configs.push(("min.cleanable.dirty.ratio", dice.pick(&["0", "0.01", "0.5"]).to_owned()));
                configs.push(("min.compaction.lag.ms", dice.pick(&[0_u64, 0, 500]).to_string()));
            }
        }
        NewTopic { name: format!("{name}.{}.{}", kept(keeps), shed(sheds)), partitions, configs }
    }
}

fn kept(keeps: Keeps) -> &'static str {
    match keeps {
        Keeps::Synced => "synced",
        Keeps::Cached => "cached",
    }
}

fn shed(sheds: Sheds) -> &'static str {
    match sheds {
        Sheds::Nothing => "whole",
        Sheds::Old => "expiring",
        Sheds::Overwritten => "compacted",
    }
}

impl Topic {
    /// It was drawn with these.
    pub fn sheds(&self) -> Sheds {
        sheds_of(&self.name.name)
    }
}

fn keeps_of(name: &str) -> Keeps {
    let is_of = |keeps: &Keeps| name.split('.').nth(1) == Some(kept(*keeps));
    [Keeps::Synced, Keeps::Cached].into_iter().find(is_of).unwrap_or(Keeps::Cached)
}

fn sheds_of(name: &str) -> Sheds {
    let is_of = |sheds: &Sheds| name.split('.').nth(2) == Some(shed(*sheds));
    [Sheds::Nothing, Sheds::Old, Sheds::Overwritten].into_iter().find(is_of).unwrap_or(Sheds::Nothing)
}

impl Site {
    pub fn client(&self) -> Client {
        Client::new(self.rt.clone(), self.network.clone(), self.broker, self.history.clone())
    }

    /// Asks for a topic once.
    pub async fn create(&self, client: &mut Client, topic: &NewTopic) -> Result<(), Gone> {
        let configs = topic.configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some(value.as_str().into()),
            ..CreatableTopicConfig::default()
        });
        let wanted = CreatableTopic {
            name: topic.name.as_str().into(),
            num_partitions: topic.partitions,
            replication_factor: 1,
            configs: configs.collect(),
            ..CreatableTopic::default()
        };
        let request = CreateTopicsRequest { topics: vec![wanted], timeout_ms: TIMEOUT_MS, ..Default::default() };
        self.history.note(Event::CreateSent { name: topic.name.clone() });
        let response = client.call(&request, CREATE_TOPICS).await?;
        for result in response.topics {
            match ErrorCode::from_code(result.error_code) {
                Some(ErrorCode::None) => self.met(&result.name, result.topic_id),
                Some(ErrorCode::TopicAlreadyExists | ErrorCode::KafkaStorageError | ErrorCode::RequestTimedOut) => {}
                other => self.broken(format!("the creation of {}: {other:?}", result.name)),
            }
        }
        Ok(())
    }

    /// Asks once for a topic to be deleted.
    pub async fn delete(&self, client: &mut Client, id: Uuid) -> Result<Deletion, Gone> {
        let topics = vec![DeleteTopicState { topic_id: id, ..Default::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms: TIMEOUT_MS, ..Default::default() };
        self.history.note(Event::DeleteSent { id });
        let response = client.call(&request, DELETE_TOPICS).await?;
        let codes: Vec<_> = response.responses.iter().map(|topic| ErrorCode::from_code(topic.error_code)).collect();
        match codes[..] {
            [Some(ErrorCode::None)] => {
                self.history.note(Event::Deleted { id });
                Ok(Deletion::Done)
            }
            [Some(ErrorCode::UnknownTopicId)] => {
                self.history.note(Event::Deleted { id });
                Ok(Deletion::WasGone)
            }
            [Some(ErrorCode::KafkaStorageError | ErrorCode::RequestTimedOut)] => Ok(Deletion::Refused),
            _ => {
                self.broken(format!("the deletion of {id}: {codes:?}"));
                Ok(Deletion::Refused)
            }
        }
    }

    /// All topics there are, but for those of the broker itself.
    pub async fn list(&self, client: &mut Client) -> Result<Vec<Topic>, Gone> {
        let sent = self.history.at();
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
        let response = client.call(&request, METADATA).await?;
        let mut topics = Vec::new();
        for topic in response.topics.into_iter().filter(|topic| !topic.is_internal) {
            let name = topic.name.as_deref().unwrap_or_default().to_owned();
            if topic.error_code != 0 {
                self.broken(format!("metadata of {name}: {:?}", ErrorCode::from_code(topic.error_code)));
            }
            self.met(&name, topic.topic_id);
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(0);
            topics.push(Topic { name: TopicName { name, id: topic.topic_id }, partitions });
        }
        let named = topics.iter().map(|topic| (topic.name.name.clone(), topic.name.id));
        self.history.note(Event::Listed { sent, topics: named.collect() });
        Ok(topics)
    }

    pub fn broken(&self, what: String) {
        self.history.note(Event::Broken { what });
    }

    /// A topic that is there was not known to be.
    fn met(&self, name: &str, id: Uuid) {
        if !self.history.knows(id) {
            let (keeps, sheds) = (keeps_of(name), sheds_of(name));
            self.history.note(Event::Created { name: name.to_owned(), id, keeps, sheds });
        }
    }
}
