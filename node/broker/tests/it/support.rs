//! A machine with a disk, the broker that runs on it, and a client.

use std::io::IoSlice;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_base::Uuid;
use ottla_broker::{Loggers, Running, StartError, StopError, start};
use ottla_config::ServerConfig;
use ottla_net::{Bound, MemoryNetwork, MemoryStream, Network, SocketOptions};
use ottla_records::{BatchBuilder, BatchOptions, NewRecord};
use ottla_rt::{Process, Stalls, World};
use ottla_storage::disk::{Disk, FaultyDisk, Open, read_file};
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::{
    CreatableTopic, CreatableTopicConfig, CreateTopicsRequest, DeleteTopicState, DeleteTopicsRequest,
    IncrementalAlterConfigsRequest, InitProducerIdRequest, ListOffsetsPartition, ListOffsetsRequest, ListOffsetsTopic,
    MetadataRequest,
};
use ottla_wire::{ApiKey, ErrorCode, Form, Message, Reader, Request, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub const DATA: &str = "/data";
const ADDRESS: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9092);
const PRODUCE_VERSION: i16 = 8;
pub const FETCH_VERSION: i16 = 4;

#[derive(Debug)]
pub struct Machine {
    pub world: World,
    pub disk: FaultyDisk,
    network: MemoryNetwork,
}

/// A broker that runs, and a client of it.
#[derive(Debug)]
pub struct Broker {
    pub process: Process,
    pub running: Running,
    pub client: Client,
}

#[derive(Debug)]
pub struct Client(MemoryStream);

/// What a fetch of one partition was answered.
#[derive(Debug)]
pub struct Fetched {
    pub error: ErrorCode,
    pub high_watermark: i64,
    pub last_stable: i64,
    /// Producer and first offset.
    pub aborted: Option<Vec<(i64, i64)>>,
    pub records: Vec<u8>,
}

impl Machine {
    pub fn new() -> Machine {
        let world = World::new(7).unwrap();
        let network = MemoryNetwork::new(world.process("network").rt());
        Machine { world, disk: FaultyDisk::new(7), network }
    }

    pub async fn start(&self) -> Broker {
        self.start_on(Arc::new(self.disk.clone())).await.unwrap_or_else(|error| panic!("{error}"))
    }

    /// Starts a broker that sees the machine's disk through `disk`.
    pub async fn start_on(&self, disk: Arc<dyn Disk>) -> Result<Broker, StartError> {
        let (process, running) = self.launch(disk, &[("listeners", "PLAINTEXT://127.0.0.1:9092")]).await?;
        Ok(Broker { process, running, client: self.connect().await })
    }

    /// Starts a broker with these settings, and listeners among them.
    pub async fn start_set_up(&self, settings: &[(&str, &str)]) -> Broker {
        self.start_set_up_on(Arc::new(self.disk.clone()), settings).await
    }

    /// The same where it sees the machine's disk through `disk`.
    pub async fn start_set_up_on(&self, disk: Arc<dyn Disk>, settings: &[(&str, &str)]) -> Broker {
        let launched = self.launch(disk, settings).await;
        let (process, running) = launched.unwrap_or_else(|error| panic!("{error}"));
        Broker { process, running, client: self.connect().await }
    }

    /// Starts a broker that is set up in a special way.
    pub async fn start_with(&self, settings: &[(&str, &str)]) -> Running {
        let launched = self.launch(Arc::new(self.disk.clone()), settings).await;
        launched.unwrap_or_else(|error| panic!("{error}")).1
    }

    /// The same where everything that blocks takes a while.
    pub async fn start_slowly(&self, settings: &[(&str, &str)], stalls: Stalls) -> Broker {
        let process = self.world.process("broker");
        process.set_stalls(stalls);
        let launched = self.launch_in(process, Arc::new(self.disk.clone()), settings).await;
        let (process, running) = launched.unwrap_or_else(|error| panic!("{error}"));
        Broker { process, running, client: self.connect().await }
    }

    /// Starts a broker for which nobody has said where metrics are.
    pub async fn start_plain(&self, settings: &[(&str, &str)]) -> (Process, Running) {
        let process = self.world.process("broker");
        let settings: Vec<_> = [("log.dirs", DATA)].iter().chain(settings).copied().collect();
        let launched = self.launch_as(process, Arc::new(self.disk.clone()), &settings).await;
        launched.unwrap_or_else(|error| panic!("{error}"))
    }

    async fn launch(&self, disk: Arc<dyn Disk>, settings: &[(&str, &str)]) -> Result<(Process, Running), StartError> {
        self.launch_in(self.world.process("broker"), disk, settings).await
    }

    async fn launch_in(
        &self,
        process: Process,
        disk: Arc<dyn Disk>,
        settings: &[(&str, &str)],
    ) -> Result<(Process, Running), StartError> {
        let own = [("log.dirs", DATA), ("ottla.http.listener", "")];
        let settings: Vec<_> = own.iter().chain(settings).copied().collect();
        self.launch_as(process, disk, &settings).await
    }

    /// With these settings alone.
    async fn launch_as(
        &self,
        process: Process,
        disk: Arc<dyn Disk>,
        settings: &[(&str, &str)],
    ) -> Result<(Process, Running), StartError> {
        let settings: Vec<_> = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let (config, _) = ServerConfig::load(None, &settings).unwrap();
        let loggers = Arc::new(Loggers::new(|_| {}));
        let started = start(process.rt(), disk, Network::Memory(self.network.clone()), Arc::new(config), loggers).await;
        match started {
            Ok(running) => Ok((process, running)),
            Err(error) => {
                end(&process).await;
                Err(error)
            }
        }
    }

    pub async fn connect(&self) -> Client {
        self.connect_to(ADDRESS.port()).await
    }

    /// Asks over HTTP; gives status and body. `None` where nobody listens.
    pub async fn get(&self, port: u16, path: &str) -> Option<(u16, String)> {
        let mut stream = self.network.connect(ADDRESS.ip(), SocketAddr::new(ADDRESS.ip(), port)).await.ok()?;
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Some((head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned()))
    }

    pub async fn connect_to(&self, port: u16) -> Client {
        let address = SocketAddr::new(ADDRESS.ip(), port);
        Client(self.network.connect(ADDRESS.ip(), address).await.unwrap())
    }

    /// `None` where nobody listens.
    pub async fn try_connect_to(&self, port: u16) -> Option<Client> {
        let address = SocketAddr::new(ADDRESS.ip(), port);
        self.network.connect(ADDRESS.ip(), address).await.ok().map(Client)
    }

    /// Another process listens there, until what is given is dropped.
    pub fn occupy(&self, address: SocketAddr) -> Bound {
        let options = SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: 1 };
        Network::Memory(self.network.clone()).bind(address, options).unwrap()
    }

    /// The error with which a start ends.
    pub async fn refusal(&self) -> String {
        match self.start_on(Arc::new(self.disk.clone())).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    /// The error with which a start with these settings ends.
    pub async fn start_error(&self, settings: &[(&str, &str)]) -> String {
        match self.launch(Arc::new(self.disk.clone()), settings).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error.to_string(),
        }
    }

    pub async fn stop(&self, broker: Broker) -> Result<(), StopError> {
        let stopped = broker.running.stop().await;
        self.kill(&broker.process).await;
        stopped
    }

    pub async fn crash(&self, broker: Broker) {
        drop(broker.running);
        self.kill(&broker.process).await;
    }

    async fn kill(&self, process: &Process) {
        end(process).await;
        self.disk.kill();
    }

    pub fn read(&self, path: &str) -> Vec<u8> {
        read_file(&self.disk, &Path::new(DATA).join(path)).unwrap()
    }

    pub fn write(&self, path: &str, bytes: &[u8]) {
        let file = self.disk.open(&Path::new(DATA).join(path), Open::Create).unwrap();
        file.set_size(0).unwrap();
        assert_eq!(file.write_vectored_at(&[IoSlice::new(bytes)], 0).unwrap(), bytes.len());
    }

    /// Takes all the room that the disk has.
    pub fn fill_disk(&self) {
        let much = 1 << 40;
        self.disk.set_capacity(Some(much));
        let used = much - self.disk.free_bytes(Path::new(DATA)).unwrap();
        self.disk.set_capacity(Some(used));
    }

    pub fn list(&self, path: &str) -> Vec<String> {
        self.disk.list(&Path::new(DATA).join(path)).unwrap().into_iter().map(|entry| entry.name).collect()
    }

    pub fn remove(&self, path: &str) {
        self.disk.remove_file(&Path::new(DATA).join(path)).unwrap();
    }

    /// Every file and what is in it, but for the file of the lock.
    pub fn files(&self) -> Vec<(String, Vec<u8>)> {
        let mut files = Vec::new();
        for entry in self.disk.list(Path::new(DATA)).unwrap() {
            if entry.is_dir {
                let inside = self.list(&entry.name).into_iter().map(|name| format!("{}/{name}", entry.name));
                files.extend(inside.map(|path| (path.clone(), self.read(&path))));
            } else if entry.name != ".lock" {
                files.push((entry.name.clone(), self.read(&entry.name)));
            }
        }
        files
    }
}

impl Client {
    pub async fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let frame = self.ask(R::KEY, version, |writer| request.encode(writer, version)).await;
        R::Response::decode(&mut Reader::new(&frame), version).unwrap()
    }

    /// Sends so many bytes of a Produce request that is larger.
    pub async fn send_part(&mut self, bytes: u32, sent: usize) {
        self.0.write_all(&bytes.to_be_bytes()).await.unwrap();
        self.0.write_all(&vec![0; sent]).await.unwrap();
    }

    /// Gives the answer behind its header.
    pub async fn ask(&mut self, key: ApiKey, version: i16, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        self.0.write_all(&frame(key, version, body)).await.unwrap();
        let size = self.0.read_u32().await.unwrap();
        let mut answer = vec![0; size as usize];
        self.0.read_exact(&mut answer).await.unwrap();
        // Behind the correlation id, and the tags that an answer to ApiVersions never has.
        let is_flexible = version >= key.api().flexible_from;
        answer.split_off(if is_flexible && key != ApiKey::ApiVersions { 5 } else { 4 })
    }

    /// Sends these requests at once, and awaits all answers.
    pub async fn ask_at_once(&mut self, frames: &[Vec<u8>]) {
        self.0.write_all(&frames.concat()).await.unwrap();
        for _ in frames {
            let size = self.0.read_u32().await.unwrap();
            self.0.read_exact(&mut vec![0; size as usize]).await.unwrap();
        }
    }

    /// Whether such a request closes the connection.
    pub async fn is_refused(&mut self, key: ApiKey, version: i16, body: impl FnOnce(&mut Writer<'_>)) -> bool {
        self.0.write_all(&frame(key, version, body)).await.is_err() || self.0.read_u32().await.is_err()
    }

    /// Fetches from partition 0, without waiting, as one who reads committed records.
    pub async fn fetch_committed(&mut self, topic: &str, offset: i64, bytes_max: i32) -> Fetched {
        let answer = self.ask(ApiKey::Fetch, FETCH_VERSION, |writer| {
            writer.i32(-1);
            writer.i32(0);
            writer.i32(0);
            writer.i32(i32::MAX);
            writer.i8(1);
            writer.i32(1);
            writer.str(topic, Form::Classic);
            writer.i32(1);
            writer.i32(0);
            writer.i64(offset);
            writer.i32(bytes_max);
        });
        let answer = answer.await;
        let mut reader = Reader::new(&answer);
        assert_eq!((reader.i32("throttle"), reader.i32("topics")), (Ok(0), Ok(1)));
        reader.nullable_str_bytes("name", Form::Classic).unwrap();
        assert_eq!((reader.i32("partitions"), reader.i32("index")), (Ok(1), Ok(0)));
        let error = code(reader.i16("error_code").unwrap());
        let mut number = || reader.i64("number").unwrap();
        let (high_watermark, last_stable) = (number(), number());
        let count = reader.nullable_array_len("aborted", Form::Classic).unwrap();
        let mut number = || reader.i64("number").unwrap();
        let aborted = count.map(|count| (0..count).map(|_| (number(), number())).collect());
        let records = reader.nullable_bytes_ref("records", Form::Classic).unwrap().unwrap_or_default().to_vec();
        Fetched { error, high_watermark, last_stable, aborted, records }
    }

    pub async fn create(&mut self, name: &str, configs: &[(&str, &str)]) -> ErrorCode {
        self.create_within(name, configs, 10_000).await
    }

    pub async fn create_within(&mut self, name: &str, configs: &[(&str, &str)], timeout_ms: i32) -> ErrorCode {
        let configs = configs.iter().map(|(name, value)| CreatableTopicConfig {
            name: (*name).into(),
            value: Some((*value).into()),
            ..Default::default()
        });
        let topic = CreatableTopic {
            name: name.into(),
            num_partitions: 1,
            replication_factor: 1,
            configs: configs.collect(),
            ..Default::default()
        };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms, ..Default::default() };
        code(self.call(&request, 7).await.topics[0].error_code)
    }

    /// Changes one config of a topic (2) or a broker (4).
    pub async fn configure(&mut self, resource: (i8, &str), (key, value): (&str, &str)) -> ErrorCode {
        let config = AlterableConfig { name: key.into(), value: Some(value.into()), ..Default::default() };
        let (resource_type, name) = resource;
        let resource = AlterConfigsResource {
            resource_type,
            resource_name: name.into(),
            configs: vec![config],
            ..Default::default()
        };
        let request = IncrementalAlterConfigsRequest { resources: vec![resource], ..Default::default() };
        code(self.call(&request, 1).await.responses[0].error_code)
    }

    pub async fn delete(&mut self, name: &str, timeout_ms: i32) -> ErrorCode {
        let topics = vec![DeleteTopicState { name: Some(name.into()), topic_id: Uuid::ZERO, ..Default::default() }];
        let request = DeleteTopicsRequest { topics, timeout_ms, ..Default::default() };
        code(self.call(&request, 6).await.responses[0].error_code)
    }

    pub async fn producer_id(&mut self) -> ErrorCode {
        let request =
            InitProducerIdRequest { transactional_id: None, producer_id: -1, producer_epoch: -1, ..Default::default() };
        code(self.call(&request, 4).await.error_code)
    }

    /// First offset and end of partition 0.
    pub async fn range(&mut self, topic: &str) -> (i64, i64) {
        (self.offset_at(topic, -2).await, self.offset_at(topic, -1).await)
    }

    async fn offset_at(&mut self, topic: &str, timestamp: i64) -> i64 {
        let partition = ListOffsetsPartition { timestamp, current_leader_epoch: -1, ..Default::default() };
        let topic = ListOffsetsTopic { name: topic.into(), partitions: vec![partition], ..Default::default() };
        let request = ListOffsetsRequest { replica_id: -1, topics: vec![topic], ..Default::default() };
        let answer = &self.call(&request, 6).await.topics[0].partitions[0];
        assert_eq!(code(answer.error_code), ErrorCode::None);
        answer.offset
    }

    /// Names of all topics.
    pub async fn topics(&mut self) -> Vec<String> {
        let request = MetadataRequest { topics: None, allow_auto_topic_creation: false, ..Default::default() };
        let topics = self.call(&request, 12).await.topics;
        topics.iter().map(|topic| topic.name.as_deref().unwrap_or_default().to_owned()).collect()
    }

    /// Sends one record to partition 0, with acks=all.
    pub async fn produce(&mut self, topic: &str, timeout_ms: i32) -> ErrorCode {
        let record = NewRecord { timestamp: 1_767_225_600_000, value: Some(b"v"), ..NewRecord::default() };
        self.send(topic, &record, timeout_ms).await
    }

    /// Sends this record to partition 0, with acks=all.
    pub async fn send(&mut self, topic: &str, record: &NewRecord<'_>, timeout_ms: i32) -> ErrorCode {
        self.send_as(BatchOptions::default(), topic, record, timeout_ms).await
    }

    /// Sends it as the batch says, from a producer of its own perhaps.
    pub async fn send_as(
        &mut self,
        options: BatchOptions,
        topic: &str,
        record: &NewRecord<'_>,
        timeout_ms: i32,
    ) -> ErrorCode {
        let body = produce_body(options, topic, record, timeout_ms);
        let answer = self.ask(ApiKey::Produce, PRODUCE_VERSION, |writer| writer.raw(&body));
        let answer = answer.await;
        let mut reader = Reader::new(&answer);
        assert_eq!(reader.i32("topics"), Ok(1));
        reader.nullable_str_bytes("name", Form::Classic).unwrap();
        assert_eq!((reader.i32("partitions"), reader.i32("index")), (Ok(1), Ok(0)));
        code(reader.i16("error_code").unwrap())
    }
}

/// A request to produce this record to partition 0, with acks=all, and its size.
pub fn produce_frame(topic: &str, record: &NewRecord<'_>) -> Vec<u8> {
    let body = produce_body(BatchOptions::default(), topic, record, 10_000);
    frame(ApiKey::Produce, PRODUCE_VERSION, |writer| writer.raw(&body))
}

fn produce_body(options: BatchOptions, topic: &str, record: &NewRecord<'_>, timeout_ms: i32) -> Vec<u8> {
    let mut batch = BatchBuilder::new(options);
    batch.push(record);
    let batch = batch.finish();
    let mut body = Vec::new();
    let mut writer = Writer::new(&mut body);
    writer.i16(-1);
    writer.i16(-1);
    writer.i32(timeout_ms);
    writer.i32(1);
    writer.str(topic, Form::Classic);
    writer.i32(1);
    writer.i32(0);
    writer.i32(batch.len() as i32);
    writer.raw(&batch);
    body
}

/// A request with its size.
pub fn frame(key: ApiKey, version: i16, body: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    let mut writer = Writer::new(&mut bytes);
    writer.i16(key.code());
    writer.i16(version);
    writer.i32(0);
    writer.str("test", Form::Classic);
    if version >= key.api().flexible_from {
        writer.uvarint(0);
    }
    body(&mut writer);
    let size = bytes.len() as u32 - 4;
    bytes[..4].copy_from_slice(&size.to_be_bytes());
    bytes
}

/// Ends what is left of a process.
async fn end(process: &Process) {
    process.kill();
    while !process.is_gone() {
        process.rt().sleep(Duration::from_millis(1)).await;
    }
}

pub fn code(code: i16) -> ErrorCode {
    ErrorCode::from_code(code).unwrap()
}
