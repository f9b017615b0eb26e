//! Starting: the order in which a broker comes up.
//!
//! 1. Lock the log directories: a second start finds out here, and says who holds them.
//! 2. Bind the listeners of the file. Metrics and health are served from now on.
//! 3. See whose the directories are and how they were left, and load the controller from the metadata log.
//! 4. Bind the listeners that the metadata has in their place (KIP-226). Then begin an epoch of the metadata log: nothing is
//!    written before all of this is found good.
//! 5. Register; once the controller has this broker unfenced, its logs are opened and published.
//! 6. Accept connections.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::{NodeId, Seed};
use ottla_config::{Listener, Listeners, ServerConfig, ServerLayers, keys};
use ottla_metadata::Image;
use ottla_net::{Bound, Limits, Network, Shared, SocketOptions};
use ottla_rt::{Lane, Rt, Stopper};
use ottla_storage::disk::Disk;
use ottla_storage::{FlushOptions, Flusher, LogError, OpenDirError};

use crate::Broker;
use crate::appended::Appended;
use crate::checkpoints;
use crate::control::host::NoReply;
use crate::control::opening::{self, Found, OpenError, Opened, Sound};
use crate::control::publisher::{Publisher, State};
use crate::control::replicas::Replicas;
use crate::control::snapshotting::{self, Snapshotting};
use crate::control::{Control, Registration, whereabouts};
use crate::coordinate::groups::Groups;
use crate::directory::report::Reporter;
use crate::directory::{self, Directory, Identified};
use crate::expiry;
use crate::fetch::session::Sessions;
use crate::flushing::{self, Logs};
use crate::identity::{Endpoint, Identity};
use crate::listening::{self, address_of, connection_limits, socket_options};
use crate::loggers::Loggers;
use crate::metrics::Metrics;
use crate::metrics::scrape::Sources;
use crate::repacking::Repacking;
use crate::settings::Settings;
use crate::stop::{Parts, Running};
use crate::topics::{Published, Topics};
use crate::upkeep::compaction::{self, Compaction};
use crate::upkeep::moving::{self, Moving};
use crate::upkeep::trimming::Trimming;
use crate::upkeep::{resting, retention};
use crate::web::Web;

/// `queued.max.request.bytes` where it is not set.
const QUEUED_BYTES_DEFAULT: usize = 64 << 20;
/// A log is flushed when it has been dirty for so long: a crash leaves little to check.
const DIRTY_MS_MAX: i64 = 30_000;
/// So many dirty bytes of all logs are not waited with either: a start after a crash reads them in less than a second.
const FLUSH_FROM_BYTES: u64 = 512 << 20;
/// Connections to metrics and health that wait in the kernel.
const HTTP_BACKLOG: u32 = 64;
/// The part of the machine's memory that may hold what is not on the disk yet; beyond it, producers are held back.
const DIRTY_SHARE: u64 = 10;

/// Why a broker does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {listener}: {cause}")]
    Listen { listener: Listener, cause: io::Error },
    #[error("cannot listen on {address} (ottla.http.listener): {cause}. Set it to another address, or to none")]
    ListenHttp { address: String, cause: io::Error },
    #[error(transparent)]
    Dir(#[from] OpenDirError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error(transparent)]
    Metadata(#[from] OpenError),
    #[error("{path} is of node {found}, and node.id is {configured}")]
    OtherNode { path: PathBuf, found: i32, configured: i32 },
    #[error("{path} is of cluster {found}, and {home}, where the metadata log is, of cluster {expected}")]
    OtherCluster { path: PathBuf, found: String, home: PathBuf, expected: String },
    #[error(
        "{path} belongs to a cluster, and {home}, where the metadata log should be, to none. Set metadata.log.dir to the \
         directory that has __cluster_metadata-0, or name it first in log.dirs"
    )]
    NoMetadata { home: PathBuf, path: PathBuf },
    #[error("{one} and {other} have the same directory.id: one is a copy of the other")]
    SameDirectory { one: PathBuf, other: PathBuf },
    #[error("this start cannot be written to the metadata log: {0}")]
    Controller(NoReply),
}

/// Starts a broker, which serves when this returns.
pub async fn start(
    rt: Rt,
    disk: Arc<dyn Disk>,
    network: Network,
    config: Arc<ServerConfig>,
    loggers: Arc<Loggers>,
) -> Result<Running, StartError> {
    let began_ms = rt.now().mono_ms;
    let seed = Seed::new(rt.random_u64());
    let dirs_of = config.clone();
    let locked = rt.blocking(move || directory::lock(&disk, &dirs_of)).await?;
    let tried = try_all(&network, &config);
    let bound_http = bind_http(&network, &config)?;
    let http_address = bound_http.as_ref().map(|bound| bound.address);
    let web = Web::start(&rt, bound_http);
    let (identified, sound) = {
        let (rt_again, config) = (rt.clone(), config.clone());
        rt.blocking(move || {
            let identified = locked.identify(&rt_again, &config, rt_again.memory_bytes() / DIRTY_SHARE)?;
            let sound = opening::load(&found(&config, &identified))?;
            Ok::<_, StartError>((identified, sound))
        })
        .await?
    };
    let wanted = listeners(&config, sound.image());
    let bound = wanted_of(&wanted, tried)?;
    let (identified, opened) = {
        let (rt_again, config) = (rt.clone(), config.clone());
        rt.blocking(move || {
            let opened = begin(&rt_again, &config, &identified, sound)?;
            Ok::<_, StartError>((identified, opened))
        })
        .await?
    };
    let Opened { host, image, clean_epoch } = opened;
    let directories = identified.directories.clone();
    let (host, identity) = (Arc::new(host), Arc::new(identity(&rt, &config, (&wanted, &bound), &identified)));
    let metrics = Arc::<Metrics>::default();
    let (stopper, tasks) = (Stopper::default(), Stopper::default());
    let topics = Topics::empty(seed);
    let published = Arc::new(ArcSwap::from_pointee(Published { image: image.clone(), topics: topics.clone() }));
    let replicas = Arc::new(Replicas {
        rt: rt.clone(),
        seed,
        directories: directories.clone(),
        identity: identity.clone(),
        config: config.clone(),
        metrics: metrics.clone(),
        work: Default::default(),
        last_settings: Default::default(),
        closed: Default::default(),
        begun: Default::default(),
        moving: Default::default(),
        adopted: Default::default(),
    });
    let appended = Appended { rt: rt.clone() };
    let times = metrics.coordinators.clone();
    let groups = Arc::new(Groups::new(&rt, config.clone(), appended.clone(), times, stopper.listener()));
    let flush_options = FlushOptions {
        flush_from_bytes: FLUSH_FROM_BYTES.min(rt.memory_bytes() / DIRTY_SHARE / 2),
        dirty_ms_max: DIRTY_MS_MAX,
        write_back_bytes: flushing::WRITE_BACK_BYTES,
    };
    let flush = |directory: &Arc<Directory>| {
        let flusher = Flusher::new(&directory.log_dir, flush_options);
        let metadata = directory.is_metadata.then(|| host.clone());
        let (published, metrics) = (published.clone(), metrics.clone());
        let logs = Logs { directory: directory.clone(), metadata, published, metrics };
        rt.spawn(Lane::Control, "flush", flushing::run(rt.clone(), logs, flusher, tasks.listener()))
    };
    let mut running: Vec<_> = directories.iter().map(flush).collect();
    let shared = Shared::new(rt.clone(), limits(&config), queued_bytes(&config));
    let listeners = Arc::new(listening::Listeners::new(rt.clone(), network, shared, config.clone()));
    let publisher = Publisher {
        rt: rt.clone(),
        host: host.clone(),
        replicas: replicas.clone(),
        groups: groups.clone(),
        listeners: listeners.clone(),
        published: published.clone(),
        state: State { image, topics, is_serving: false, told_of_client_metrics: false },
    };
    running.push(rt.spawn(Lane::Control, "publish", publisher.run(tasks.listener())));

    let control = Arc::new(Control::new(rt.clone(), host.clone(), config.clone(), identity.clone()));
    let settled = {
        let (replicas, published) = (replicas.clone(), published.load_full());
        rt.blocking(move || whereabouts::settle(&replicas, &published.image)).await
    };
    let cordoned = directory::report::cordoned(&directories, &config, &published.load().image);
    let registration =
        Registration { previous_broker_epoch: clean_epoch.unwrap_or(-1), cordoned, elsewhere: settled.elsewhere };
    control.register(registration).await.map_err(StartError::Controller)?;
    let took_ms = u64::try_from(rt.now().mono_ms - began_ms).unwrap_or(0);
    replicas.work.report(Duration::from_millis(took_ms));
    {
        // Before anybody can make a topic, whose directory would be there before the topic is published.
        let (replicas, published) = (replicas.clone(), published.load_full());
        let finish = move || {
            replicas.set_strays_aside(&published.image);
            for directory in replicas.directories.iter() {
                directory.room.keep_reserve(&directory.log_dir);
            }
        };
        rt.blocking(finish).await;
    }

    let interval = config.get(keys::LOG_FLUSH_OFFSET_CHECKPOINT_INTERVAL_MS);
    running.extend(directories.iter().map(|directory| {
        let interval = Duration::from_millis(u64::try_from(interval).unwrap_or(0));
        let (directory, published, metadata) = (directory.clone(), published.clone(), host.reader().clone());
        let run = checkpoints::run(rt.clone(), directory, published, metadata, interval, tasks.listener());
        rt.spawn(Lane::Control, "checkpoint", run)
    }));
    let reporter = Reporter {
        rt: rt.clone(),
        directories: directories.clone(),
        control: control.clone(),
        config: config.clone(),
        published: published.clone(),
    };
    running.push(rt.spawn(Lane::Control, "directories", reporter.run(tasks.listener())));
    let interval_ms = config.get(keys::PRODUCER_ID_EXPIRATION_CHECK_INTERVAL_MS);
    let interval = Duration::from_millis(u64::try_from(interval_ms).unwrap_or(0));
    let expire = expiry::run(rt.clone(), published.clone(), config.clone(), interval, tasks.listener());
    running.push(rt.spawn(Lane::Control, "expire", expire));
    let long = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
    let trimming = Trimming { rt: rt.clone(), directories: directories.clone(), metadata: host.reader().clone() };
    let times = retention::Times {
        first: long(config.get(keys::LOG_INITIAL_TASK_DELAY_MS)),
        interval: long(config.get(keys::LOG_RETENTION_CHECK_INTERVAL_MS)),
    };
    let retain = retention::run(trimming.clone(), published.clone(), times, tasks.listener());
    running.push(rt.spawn(Lane::Control, "retain", retain));
    let compaction = Arc::new(Compaction {
        trimming: trimming.clone(),
        published: published.clone(),
        config: config.clone(),
        metrics: metrics.clone(),
        taken: Default::default(),
    });
    running.push(rt.spawn(Lane::Control, "compaction", compaction::run(compaction.clone(), tasks.listener())));
    let rest = resting::run(rt.clone(), published.clone(), tasks.listener());
    running.push(rt.spawn(Lane::Control, "rest", rest));
    let moving = Arc::new(Moving {
        rt: rt.clone(),
        replicas: replicas.clone(),
        control: control.clone(),
        compaction: compaction.clone(),
        published: published.clone(),
        config: config.clone(),
        moves: Default::default(),
        untold: Default::default(),
        asked: Default::default(),
        failed: Default::default(),
    });
    let (blocking, unfinished) = (moving.clone(), settled.moves);
    rt.blocking(move || blocking.go_on(unfinished)).await;
    let count = directories.online().count();
    let threads = config.get(keys::NUM_REPLICA_ALTER_LOG_DIRS_THREADS).and_then(|count| usize::try_from(count).ok());
    // Without another directory there is nothing to be moved to.
    let threads = if count > 1 { threads.unwrap_or(count).clamp(1, moving::THREADS_MAX) } else { 0 };
    let start_moving = |_| rt.spawn(Lane::Control, "move", moving::run(moving.clone(), tasks.listener()));
    running.extend((0..threads).map(start_moving));
    let snapshotting = Snapshotting {
        host: host.clone(),
        published: published.clone(),
        trimming: trimming.clone(),
        rules: snapshotting::Rules::of(&config),
    };
    running.push(rt.spawn(Lane::Control, "snapshot", snapshotting::run(snapshotting, tasks.listener())));
    let broker = Arc::new(Broker {
        rt: rt.clone(),
        settings: Settings::of(&config),
        fetch_sessions: Sessions::new(
            usize::try_from(config.get(keys::MAX_INCREMENTAL_FETCH_SESSION_CACHE_SLOTS)).unwrap_or(0),
            seed,
        ),
        identity,
        loggers,
        listeners: listeners.clone(),
        control,
        groups,
        appended,
        stopping: stopper.listener(),
        published,
        directories,
        trimming,
        moving,
        repacking: Arc::new(Repacking::new(rt.cores())),
        metrics,
        config: config.clone(),
    });
    let addresses = bound.iter().map(|(_, bound)| bound.address).collect();
    for (listener, bound) in bound {
        listeners.accept(&broker, listener, bound);
    }
    let run = listeners.run(broker.clone(), tasks.listener());
    running.push(rt.spawn(Lane::Control, "listeners", run));
    web.desk.has_started(Sources { broker: broker.clone(), controller: host.clone() });
    let replica_dirs = replicas.clone();
    rt.spawn(Lane::Control, "leftovers", {
        let rt = rt.clone();
        async move { rt.blocking(move || replica_dirs.remove_leftovers()).await }
    });
    Ok(Running::new(Parts { broker, host, addresses, http_address, web, stopper, tasks, running }))
}

/// Those that were set while an earlier start ran, as long as they go with the file.
fn listeners(config: &ServerConfig, image: &Image) -> Listeners {
    let listeners = image.configs().layers(config).listeners().unwrap_or_else(|error| {
        tracing::error!(
            "listeners that were set while the broker ran are not used, but those that it is started with: {error}"
        );
        config.listeners().clone()
    });
    if listeners != *config.listeners() {
        let all: Vec<_> = listeners.broker.iter().map(Listener::to_string).collect();
        tracing::info!("listeners were set while the broker ran, and are now {}", all.join(","));
    }
    listeners
}

/// A listener that may be wanted, and what came of binding it.
type Tried = (Listener, Result<Bound, StartError>);

/// Binds the listeners of the file, so that metrics and health leave them their ports. Whether they are wanted, and it matters that
/// one cannot be bound, is known later.
fn try_all(network: &Network, config: &ServerConfig) -> Vec<Tried> {
    let listeners = config.listeners().broker.iter();
    listeners.map(|listener| (listener.clone(), bind(network, config, listener))).collect()
}

/// Those of the file that are wanted. What was added while an earlier start ran is bound once the broker serves, and a controller's
/// listener is only noted: there is nobody yet to serve on it.
fn wanted_of(wanted: &Listeners, tried: Vec<Tried>) -> Result<Vec<(Listener, Bound)>, StartError> {
    let tried = tried.into_iter().filter(|(listener, _)| wanted.broker.contains(listener));
    tried.map(|(listener, bound)| Ok((listener, bound?))).collect()
}

fn bind(network: &Network, config: &ServerConfig, listener: &Listener) -> Result<Bound, StartError> {
    let address = address_of(&listener.host, listener.port);
    let bound = address.and_then(|address| network.bind(address, socket_options(config)));
    bound.map_err(|cause| StartError::Listen { listener: listener.clone(), cause })
}

/// The address of metrics and health, if they are not off. Where nobody has asked for it, a second broker on one machine does
/// without.
fn bind_http(network: &Network, config: &ServerConfig) -> Result<Option<Bound>, StartError> {
    let Some((host, port)) = config.http_listener() else { return Ok(None) };
    let options = SocketOptions { send_buffer_bytes: None, receive_buffer_bytes: None, backlog: HTTP_BACKLOG };
    match address_of(&host, port).and_then(|address| network.bind(address, options)) {
        Ok(bound) => Ok(Some(bound)),
        Err(cause) if cause.kind() == ErrorKind::AddrInUse && !config.http_listener_is_set() => {
            tracing::warn!(
                "no metrics and health: {host}:{port} is taken, perhaps by another broker. Set ottla.http.listener to \
                 another address, or to none"
            );
            Ok(None)
        }
        Err(cause) => Err(StartError::ListenHttp { address: format!("{host}:{port}"), cause }),
    }
}

fn limits(config: &ServerConfig) -> Limits {
    let count = |count: i32| usize::try_from(count).unwrap_or(0);
    let idle_ms = config.get(keys::CONNECTIONS_MAX_IDLE_MS);
    Limits {
        request_bytes_max: count(config.get(keys::SOCKET_REQUEST_MAX_BYTES)),
        // Kafka takes a negative time for "never".
        idle_max: u64::try_from(idle_ms).map_or(Duration::MAX, Duration::from_millis),
        connections: connection_limits(&ServerLayers::of(config)),
    }
}

fn queued_bytes(config: &ServerConfig) -> usize {
    let bytes = usize::try_from(config.get(keys::QUEUED_MAX_REQUEST_BYTES)).unwrap_or(0);
    if bytes == 0 { QUEUED_BYTES_DEFAULT } else { bytes }
}

/// What was found of the metadata log.
fn found<'a>(config: &'a ServerConfig, identified: &'a Identified) -> Found<'a> {
    let Identified { directories, meta, is_new, .. } = identified;
    Found { home: directories.metadata(), meta, is_new: *is_new, config }
}

/// Begins a new epoch of the metadata log, and then takes the other directories in.
fn begin(rt: &Rt, config: &ServerConfig, identified: &Identified, sound: Sound) -> Result<Opened, StartError> {
    let opened = opening::begin(rt, &found(config, identified), sound)?;
    let clean_epoch = identified.begin(opened.clean_epoch)?;
    Ok(Opened { clean_epoch, ..opened })
}

fn identity(
    rt: &Rt,
    config: &ServerConfig,
    (listeners, bound): (&Listeners, &[(Listener, Bound)]),
    identified: &Identified,
) -> Identity {
    let Identified { directories, meta, .. } = identified;
    let endpoint = |listener: &Listener, port: u16| Endpoint {
        name: listener.name.as_str().into(),
        host: if listener.host.is_empty() { rt.host_name().into() } else { listener.host.as_str().into() },
        port,
    };
    // A port that the kernel picked is advertised as it is.
    let advertised = listeners.advertised.iter().map(|advertised| {
        let picked = bound.iter().find(|(listener, _)| listener.name == advertised.name && advertised.port == 0);
        let picked = picked.map(|(_, bound)| bound.address.port());
        endpoint(advertised, picked.unwrap_or(advertised.port))
    });
    Identity {
        cluster_id: meta.cluster_id.as_str().into(),
        node_id: NodeId(meta.node_id),
        log_dirs: directories.online().map(|directory| directory.id).collect(),
        incarnation_id: rt.random_uuid(),
        rack: config.get(keys::BROKER_RACK).map(Arc::from),
        advertised: advertised.collect(),
        controller: listeners.controller.iter().map(|listener| endpoint(listener, listener.port)).collect(),
    }
}
