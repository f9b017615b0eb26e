//! A node of one: the controller's shard, its log, and an image that follows the log.

use std::sync::Arc;

use ottla_base::{Now, Uuid};
use ottla_config::ServerConfig;
use ottla_machine::{At, Load, Output, Shard, Waiter};
use ottla_metadata::{
    AlterConfigs, Command, Controller, CreateInternalTopic, CreateTopics, Entropy, Image, IncrementalAlterConfigs,
    Record, Reply, State,
};
use ottla_wire::messages::{
    AlterConfigsRequest, BrokerHeartbeatRequest, BrokerRegistrationRequest, CreateTopicsRequest,
    IncrementalAlterConfigsRequest, broker_registration_request::Listener,
};

pub const DIRECTORY: Uuid = Uuid([0xdd; 16]);

pub struct Node {
    shard: Shard<Controller>,
    pub image: Image,
    /// Values of the records; the index is the offset.
    pub log: Vec<Vec<u8>>,
    pub server: Arc<ServerConfig>,
    /// Of the random numbers of the last command.
    pub seed: u128,
}

impl Default for Node {
    fn default() -> Node {
        let (server, _) = ServerConfig::load(None, &[]).unwrap();
        Node {
            shard: Load::default().finish(0),
            image: Image::default(),
            log: Vec::new(),
            server: Arc::new(server),
            seed: 0,
        }
    }
}

impl Node {
    /// A start on a log with these values.
    pub fn of(log: Vec<Vec<u8>>) -> Node {
        let (mut load, mut image) = (Load::<Controller>::default(), Image::default());
        for (offset, value) in (0..).zip(&log) {
            let record = Record::decode(value).unwrap();
            load.replay(At { offset }, &record);
            image.apply(At { offset }, &record).unwrap();
        }
        Node { shard: load.finish(log.len() as i64), image, log, ..Node::default() }
    }

    /// The records are on disk and in the image when the reply comes.
    pub fn submit(&mut self, command: Command) -> (Vec<Record>, Reply) {
        let batch = self.shard.submit(Now::default(), Waiter(1), command);
        assert_eq!(batch.base_offset, self.log.len() as i64);
        for record in &batch.records {
            self.image.apply(At { offset: self.log.len() as i64 }, record).unwrap();
            let mut value = Vec::new();
            record.encode(&mut value);
            self.log.push(value);
        }
        let mut released = self.shard.high_watermark(self.log.len() as i64);
        let Some(Output::Reply(Waiter(1), reply)) = released.pop() else { panic!("there is one reply: {released:?}") };
        assert_eq!(released, []);
        (batch.records, reply)
    }

    pub fn create(&mut self, request: CreateTopicsRequest) -> Command {
        self.seed += 1;
        let entropy = Entropy::new(self.seed);
        Command::CreateTopics(CreateTopics { request, server: self.server.clone(), entropy })
    }

    pub fn create_internal(&mut self, name: &str) -> Command {
        self.seed += 1;
        let entropy = Entropy::new(self.seed);
        Command::CreateInternalTopic(CreateInternalTopic { name: name.into(), server: self.server.clone(), entropy })
    }

    pub fn replace(&self, request: AlterConfigsRequest) -> Command {
        Command::AlterConfigs(AlterConfigs { request, server: self.server.clone() })
    }

    pub fn alter(&self, request: IncrementalAlterConfigsRequest) -> Command {
        Command::IncrementalAlterConfigs(IncrementalAlterConfigs { request, server: self.server.clone() })
    }

    /// Reads the log again, and finds what was there before.
    pub fn reload(&mut self) {
        let again = Node::of(self.log.clone());
        assert_eq!(again.shard.hard(), self.shard.hard());
        assert_eq!((&**again.shard.hard(), &again.image), (&self.image, &self.image));
        self.shard = again.shard;
        let mut restored = Image::default();
        for record in self.image.records() {
            let mut value = Vec::new();
            record.encode(&mut value);
            restored.apply(At { offset: self.image.offset() }, &Record::decode(&value).unwrap()).unwrap();
        }
        assert_eq!(restored, self.image, "a snapshot says something else");
        assert_eq!(State::of(restored), *self.shard.hard());
    }

    /// Epoch of the one broker, -1 before it has one.
    pub fn broker_epoch(&self) -> i64 {
        self.image.brokers().iter().next().map_or(-1, |broker| broker.epoch)
    }
}

pub fn registration(broker_id: i32, previous_broker_epoch: i64) -> BrokerRegistrationRequest {
    let listener = Listener { name: "PLAINTEXT".into(), host: "127.0.0.1".into(), port: 9092, ..Default::default() };
    BrokerRegistrationRequest {
        broker_id,
        incarnation_id: Uuid([0x11; 16]),
        listeners: vec![listener],
        rack: None,
        log_dirs: vec![DIRECTORY],
        previous_broker_epoch,
        ..Default::default()
    }
}

pub fn heartbeat(node: &Node) -> BrokerHeartbeatRequest {
    BrokerHeartbeatRequest {
        broker_id: 1,
        broker_epoch: node.broker_epoch(),
        current_metadata_offset: node.image.offset(),
        ..Default::default()
    }
}
