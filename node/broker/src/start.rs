//! Starting: the order in which a broker comes up.
//!
//! 1. Bind the listeners, so that nothing is touched where that fails.
//! 2. Lock the log directory, see whose it is and how it was left.
//! 3. Begin an epoch of the metadata log, load the controller from it.
//! 4. Register; once the controller has this broker unfenced, its logs are opened and published.
//! 5. Accept connections.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::{NodeId, Seed, Uuid};
use ottla_config::{Listener, ServerConfig, keys};
use ottla_machine::At;
use ottla_metadata::Image;
use ottla_net::{Bound, Budget, Limits, Listening, Network, SocketOptions};
use ottla_rt::{Lane, Rt, Stopper};
use ottla_storage::checkpoint::{clean, meta, quorum, topic_id};
use ottla_storage::disk::Disk;
use ottla_storage::{Checkpointed, FlushOptions, Flusher, Log, LogDir, LogError, LogOptions, OpenDirError};

use crate::Broker;
use crate::checkpoints::{self, Checkpoints};
use crate::control::Control;
use crate::control::host::Host;
use crate::control::log::{LoadError, MetadataLog};
use crate::control::publisher::{Publisher, State};
use crate::control::replicas::Replicas;
use crate::expiry;
use crate::fetch::session::Sessions;
use crate::flushing::{self, Flushing};
use crate::identity::{Endpoint, Identity};
use crate::serve::Served;
use crate::settings::Settings;
use crate::stop::{Parts, Running};
use crate::topics::{Published, Topics};

/// `queued.max.request.bytes` where it is not set.
const QUEUED_BYTES_DEFAULT: usize = 64 << 20;
/// A log is flushed when it has been dirty for so long: a crash leaves little to check.
const DIRTY_MS_MAX: i64 = 30_000;
/// So many dirty bytes of one log are written back without waiting for its flush.
const WRITE_BACK_BYTES: u64 = 8 << 20;
/// The part of the machine's memory that may hold what is not on the disk yet.
const DIRTY_SHARE: u64 = 10;
/// The metadata log is one segment until it is trimmed by snapshots.
const METADATA_LOG: LogOptions = LogOptions {
    segment_bytes: 1 << 30,
    segment_ms: i64::MAX,
    index_bytes: 10 << 20,
    index_interval_bytes: 4096,
    reserve_bytes: 1 << 20,
};

const METADATA_DIR: &str = "__cluster_metadata-0";

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {listener}: {source}")]
    Listen { listener: Listener, source: io::Error },
    #[error(transparent)]
    Dir(#[from] OpenDirError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Metadata(#[from] LoadError),
    #[error("{path} is of node {found}, and node.id is {configured}")]
    OtherNode { path: PathBuf, found: i32, configured: i32 },
    #[error("the metadata log cannot be written")]
    Controller,
}

/// What a log directory tells at the start.
struct Found {
    dir: Arc<LogDir>,
    meta: meta::Meta,
    /// Broker epoch of the last stop, if that was clean.
    clean_epoch: Option<i64>,
    checkpoints: Checkpoints,
}

/// Starts a broker, which serves when this returns.
pub async fn start(
    rt: Rt,
    disk: Arc<dyn Disk>,
    network: Network,
    config: Arc<ServerConfig>,
) -> Result<Running, StartError> {
    let began_ms = rt.now().mono_ms;
    let seed = Seed::new(rt.random_u64());
    let bound = bind_all(&network, &config)?;
    let found = {
        let (rt_again, config) = (rt.clone(), config.clone());
        rt.blocking(move || open_dir(&rt_again, disk, &config)).await?
    };
    let Found { dir, meta, clean_epoch, checkpoints } = found;
    let checkpoints = Arc::new(checkpoints);
    let identity = Arc::new(identity(&rt, &config, &bound, meta));
    let flushing = Arc::new(Flushing::new(dir.clone(), rt.memory_bytes() / DIRTY_SHARE));
    let (host, image) = {
        let (rt_again, dir, identity, wake) = (rt.clone(), dir.clone(), identity.clone(), flushing.wake.clone());
        rt.blocking(move || open_metadata(&rt_again, &dir, &identity, wake)).await?
    };
    let host = Arc::new(host);
    let topics = Topics::empty(seed);
    let published = Arc::new(ArcSwap::from_pointee(Published { image: image.clone(), topics: topics.clone() }));
    let replicas = Arc::new(Replicas {
        rt: rt.clone(),
        seed,
        dir: dir.clone(),
        identity: identity.clone(),
        config: config.clone(),
        checkpoints: checkpoints.clone(),
        room: flushing.room.clone(),
        work: Default::default(),
    });
    let (stopper, tasks) = (Stopper::default(), Stopper::default());
    let flush_options = FlushOptions {
        dirty_bytes_max: rt.memory_bytes() / DIRTY_SHARE,
        dirty_ms_max: DIRTY_MS_MAX,
        write_back_bytes: WRITE_BACK_BYTES,
    };
    let flusher = Flusher::new(&dir, flush_options);
    let flush_task = rt.spawn(
        Lane::Control,
        "flush",
        flushing::run(rt.clone(), flushing.clone(), host.clone(), flusher, tasks.listener()),
    );
    let publisher = Publisher {
        rt: rt.clone(),
        host: host.clone(),
        replicas: replicas.clone(),
        published: published.clone(),
        state: State { image, topics, is_serving: false },
    };
    let publish_task = rt.spawn(Lane::Control, "publish", publisher.run(tasks.listener()));

    let control = Control::new(rt.clone(), host.clone(), config.clone(), identity.clone());
    control.register(clean_epoch.unwrap_or(-1)).await.map_err(|_| StartError::Controller)?;
    let took_ms = u64::try_from(rt.now().mono_ms - began_ms).unwrap_or(0);
    replicas.work.report(Duration::from_millis(took_ms));

    let interval = config.get(keys::LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS);
    let checkpoint_task = rt.spawn(
        Lane::Control,
        "checkpoint",
        checkpoints::run(
            rt.clone(),
            checkpoints.clone(),
            published.clone(),
            Duration::from_millis(u64::try_from(interval).unwrap_or(0)),
            tasks.listener(),
        ),
    );
    let millis = |ms: i32| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let times = expiry::Times {
        expiration_ms: config.get(keys::PRODUCER_ID_EXPIRATION_MS).into(),
        interval: millis(config.get(keys::PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS)),
    };
    let expiry_task =
        rt.spawn(Lane::Control, "expire", expiry::run(rt.clone(), published.clone(), times, tasks.listener()));
    let broker = Arc::new(Broker {
        rt: rt.clone(),
        settings: Settings::of(&config),
        fetch_sessions: Sessions::new(
            usize::try_from(config.get(keys::MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS)).unwrap_or(0),
            seed,
        ),
        identity,
        control,
        flushing,
        stopping: stopper.listener(),
        published,
        dir: dir.clone(),
        checkpoints,
        config: config.clone(),
    });
    let service = Arc::new(Served(broker.clone()));
    let budget = Budget::new(queued_bytes(&config));
    let addresses = bound.iter().map(|bound| bound.address).collect();
    let listening = bound
        .into_iter()
        .map(|bound| Listening::start(&rt, bound, service.clone(), limits(&config), budget.clone()))
        .collect();
    let replica_dirs = replicas.clone();
    rt.spawn(Lane::Control, "leftovers", {
        let rt = rt.clone();
        async move { rt.blocking(move || replica_dirs.remove_leftovers()).await }
    });
    Ok(Running::new(Parts {
        broker,
        host,
        addresses,
        listening,
        stopper,
        tasks,
        running: vec![flush_task, publish_task, checkpoint_task, expiry_task],
    }))
}

/// Binds the brokers' listeners. A controller's listener is only noted: there is nobody yet to serve on it.
fn bind_all(network: &Network, config: &ServerConfig) -> Result<Vec<Bound>, StartError> {
    let options = SocketOptions {
        send_buffer_bytes: u32::try_from(config.get(keys::SOCKET_SEND_BUFFER_BYTES)).ok(),
        receive_buffer_bytes: u32::try_from(config.get(keys::SOCKET_RECEIVE_BUFFER_BYTES)).ok(),
        backlog: u32::try_from(config.get(keys::SOCKET_LISTEN_BACKLOG_SIZE)).unwrap_or(1),
    };
    let bind_one = |listener: &Listener| {
        let fail = |source| StartError::Listen { listener: listener.clone(), source };
        let address = address_of(listener).map_err(fail)?;
        network.bind(address, options).map_err(fail)
    };
    config.listeners().broker.iter().map(bind_one).collect()
}

fn address_of(listener: &Listener) -> io::Result<SocketAddr> {
    let host = if listener.host.is_empty() { "0.0.0.0" } else { &listener.host };
    let mut addresses = (host, listener.port).to_socket_addrs()?;
    addresses.next().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
}

fn limits(config: &ServerConfig) -> Limits {
    let count = |count: i32| usize::try_from(count).unwrap_or(0);
    let idle_ms = config.get(keys::CONNECTIONS_MAX_IDLE_MS);
    let overrides = config.connections_per_ip_overrides();
    Limits {
        request_bytes_max: count(config.get(keys::SOCKET_REQUEST_MAX_BYTES)),
        // Kafka takes a negative time for "never".
        idle_max: u64::try_from(idle_ms).map_or(Duration::MAX, Duration::from_millis),
        connections_max: count(config.get(keys::MAX_CONNECTIONS)),
        connections_per_ip_max: count(config.get(keys::MAX_CONNECTIONS_PER_IP)),
        connections_per_ip_overrides: overrides.iter().map(|(ip, most)| (*ip, count(*most))).collect(),
    }
}

fn queued_bytes(config: &ServerConfig) -> usize {
    let bytes = usize::try_from(config.get(keys::QUEUED_MAX_REQUEST_BYTES)).unwrap_or(0);
    if bytes == 0 { QUEUED_BYTES_DEFAULT } else { bytes }
}

/// Takes the log directory, and sees whose it is and how it was left.
fn open_dir(rt: &Rt, disk: Arc<dyn Disk>, config: &ServerConfig) -> Result<Found, StartError> {
    let path = PathBuf::from(config.log_dir());
    let dir = LogDir::open(disk, &path)?;
    let node_id = config.get(keys::NODE_ID);
    let meta = match meta::load(dir.disk(), &path)? {
        Some(meta) if meta.node_id != node_id => {
            return Err(StartError::OtherNode { path, found: meta.node_id, configured: node_id });
        }
        Some(meta) => meta,
        None => {
            let (cluster_id, directory_id) = (rt.random_uuid().to_string(), rt.random_uuid());
            let meta = meta::Meta { cluster_id, node_id, directory_id };
            meta::store(dir.disk(), &path, &meta)?;
            meta
        }
    };
    let checkpoints = Checkpoints::load(&dir)?;
    let clean_epoch = clean::take(dir.disk(), &path)?;
    Ok(Found { dir, meta, clean_epoch, checkpoints })
}

/// Begins a new epoch of the metadata log and loads the controller from it.
fn open_metadata(
    rt: &Rt,
    dir: &Arc<LogDir>,
    identity: &Identity,
    flush_asked: Arc<tokio::sync::Notify>,
) -> Result<(Host, Image), StartError> {
    let path = dir.path().join(METADATA_DIR);
    let (log, recovered) = Log::open(dir, METADATA_DIR, METADATA_LOG, Checkpointed::default())?;
    if recovered.bytes_cut > 0 {
        tracing::warn!("cut {} torn bytes from the metadata log", recovered.bytes_cut);
    }
    if topic_id::load(dir.disk(), &path)?.is_none() {
        topic_id::store(dir.disk(), &path, Uuid::METADATA_TOPIC)?;
    }
    let epoch = begin_epoch(dir.disk(), &path, identity.node_id)?;
    let mut log = MetadataLog::new(log, epoch);
    log.append_leader_change(identity.node_id, rt.now().wall_ms)?;
    let mut image = Image::default();
    let host = Host::load(rt.clone(), log, flush_asked, |offset, record| Ok(image.apply(At { offset }, record)?))?;
    Ok((host, image))
}

/// The quorum has one voter: it leads at once, in an epoch that is on the disk before anything is written in it.
fn begin_epoch(disk: &dyn Disk, path: &Path, node_id: NodeId) -> Result<i32, StartError> {
    let last = quorum::load(disk, path)?.map_or(0, |state| state.leader_epoch);
    let leader_epoch = last.checked_add(1).ok_or(StartError::Controller)?;
    let state =
        quorum::QuorumState { leader_id: node_id.0, leader_epoch, voted_id: -1, voted_directory_id: Uuid::ZERO };
    quorum::store(disk, path, &state)?;
    Ok(leader_epoch)
}

fn identity(rt: &Rt, config: &ServerConfig, bound: &[Bound], meta: meta::Meta) -> Identity {
    let listeners = config.listeners();
    let endpoint = |listener: &Listener, port: u16| Endpoint {
        name: listener.name.as_str().into(),
        host: if listener.host.is_empty() { rt.host_name().into() } else { listener.host.as_str().into() },
        port,
    };
    // A port that the kernel picked is advertised as it is.
    let advertised = listeners.advertised.iter().map(|advertised| {
        let listens = listeners.broker.iter().position(|listener| listener.name == advertised.name);
        let picked = listens.filter(|_| advertised.port == 0).map(|place| bound[place].address.port());
        endpoint(advertised, picked.unwrap_or(advertised.port))
    });
    Identity {
        cluster_id: meta.cluster_id.into(),
        node_id: NodeId(meta.node_id),
        directory_id: meta.directory_id,
        incarnation_id: rt.random_uuid(),
        rack: config.get(keys::BROKER_RACK).map(Arc::from),
        advertised: advertised.collect(),
        controller: listeners.controller.iter().map(|listener| endpoint(listener, listener.port)).collect(),
    }
}
