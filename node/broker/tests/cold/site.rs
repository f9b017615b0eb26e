//! A broker on a network and a disk in memory, and a client of the smallest kind.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use ottla_broker::Running;
use ottla_config::ServerConfig;
use ottla_net::{MemoryNetwork, Network};
use ottla_rt::World;
use ottla_storage::disk::FaultyDisk;
use ottla_wire::frame::SIZE_BYTES;
use ottla_wire::messages::{CreatableTopic, CreateTopicsRequest};
use ottla_wire::{ApiKey, Form, Message, Reader, Request, Writer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub struct Site {
    network: MemoryNetwork,
    _running: Running,
}

/// Starts a broker and tells it a story.
pub fn run<F: Future>(settings: &[(&str, &str)], story: impl FnOnce(Site) -> F) -> F::Output {
    let world = World::new(1).unwrap();
    let rt = world.process("broker").rt();
    let network = MemoryNetwork::new(rt.clone());
    let mut all = vec![("log.dirs".to_owned(), "/data".to_owned())];
    all.extend(settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    let (config, _) = ServerConfig::load(None, &all).unwrap();
    let disk = Arc::new(FaultyDisk::new(1));
    world.block_on(async {
        let running = ottla_broker::start(rt, disk, Network::Memory(network.clone()), Arc::new(config)).await.unwrap();
        story(Site { network, _running: running }).await
    })
}

impl Site {
    /// Asks the listener on a port, and gives its answer.
    pub async fn ask<R: Request>(&self, port: u16, version: i16, request: &R) -> R::Response {
        let to = SocketAddr::new([127, 0, 0, 1].into(), port);
        let mut stream = self.network.connect(IpAddr::from([127, 0, 0, 1]), to).await.unwrap();
        stream.write_all(&frame(version, request)).await.unwrap();
        let size = stream.read_u32().await.unwrap();
        let mut frame = vec![0; size as usize];
        stream.read_exact(&mut frame).await.unwrap();
        let mut reader = Reader::new(&frame);
        assert_eq!(reader.i32("correlation_id"), Ok(7));
        if version >= R::KEY.api().flexible_from && R::KEY != ApiKey::ApiVersions {
            reader.skip_tags().unwrap();
        }
        R::Response::decode(&mut reader, version).unwrap()
    }

    pub async fn create(&self, port: u16, name: &str) {
        let topic =
            CreatableTopic { name: name.into(), num_partitions: 1, replication_factor: 1, ..Default::default() };
        let request = CreateTopicsRequest { topics: vec![topic], timeout_ms: 1000, ..Default::default() };
        assert_eq!(self.ask(port, 7, &request).await.topics[0].error_code, 0);
    }
}

fn frame<R: Request>(version: i16, request: &R) -> Vec<u8> {
    let mut bytes = vec![0; SIZE_BYTES];
    let mut writer = Writer::new(&mut bytes);
    writer.i16(R::KEY.code());
    writer.i16(version);
    writer.i32(7);
    writer.str("test", Form::Classic);
    if version >= R::KEY.api().flexible_from {
        writer.uvarint(0);
    }
    request.encode(&mut writer, version);
    let size = (bytes.len() - SIZE_BYTES) as u32;
    bytes[..SIZE_BYTES].copy_from_slice(&size.to_be_bytes());
    bytes
}
