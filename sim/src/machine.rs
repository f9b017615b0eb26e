//! A machine that a broker runs on: a disk that stays, and processes that come and go.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ottla_broker::{Loggers, Running};
use ottla_config::ServerConfig;
use ottla_net::{MemoryNetwork, Network};
use ottla_rt::{Lane, Panicked, Process, Rt, Stalls, Task, World};
use ottla_storage::disk::{Disk, FaultyDisk, Odds};

use crate::disk::mortal;
use crate::history::{Event, History};

const PORT: u16 = 9092;
/// The log directories. The metadata log is in the first.
pub const DIRECTORIES: [&str; 2] = ["/data", "/more"];
const DATA: &str = DIRECTORIES[0];
const CLEAN_MARKER: &str = ".kafka_cleanshutdown";
/// What a broker says of a directory that it takes for damaged or lost.
const REFUSAL: &str = "Nothing was changed";
/// How long a process may take to start or to stop once nothing is in its way.
const START_LIMIT: Duration = Duration::from_secs(30);
/// A start that nothing hinders takes no longer.
const PROMPT_MS: i64 = 2_000;
/// How often a broker is looked after.
const LOOK: Duration = Duration::from_millis(5);

#[derive(Debug)]
pub struct Machine<'w> {
    pub name: String,
    pub network: MemoryNetwork,
    pub disk: FaultyDisk,
    pub history: History,
    world: &'w World,
    rt: Rt,
    config: Arc<ServerConfig>,
    stalls: Stalls,
    broker: Option<Broker>,
    /// What will have happened when the disk takes the process with it.
    doom: Option<Crash>,
}

#[derive(Debug)]
struct Broker {
    process: Process,
    running: Running,
}

/// How a process ends that is not asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// What it has written stays.
    Kill,
    /// What was synced stays.
    PowerLoss,
}

/// What a machine is made of.
#[derive(Debug)]
pub struct Parts {
    pub name: String,
    pub number: u8,
    pub network: MemoryNetwork,
    pub disk_seed: u64,
    pub history: History,
    pub rt: Rt,
    pub settings: Vec<(String, String)>,
}

impl<'w> Machine<'w> {
    pub fn new(world: &'w World, parts: Parts) -> Machine<'w> {
        let Parts { name, number, network, disk_seed, history, rt, mut settings } = parts;
        let set = |key: &str, value: String| (key.to_owned(), value);
        settings.push(set("node.id", number.to_string()));
        settings.push(set("listeners", format!("PLAINTEXT://{}", address(number))));
        settings.push(set("log.dirs", DIRECTORIES.join(",")));
        settings.push(set("ottla.http.listener", String::new()));
        let (config, _) = ServerConfig::load(None, &settings).expect("these settings are good ones");
        Machine {
            name,
            network,
            disk: FaultyDisk::new(disk_seed),
            history,
            world,
            rt,
            config: Arc::new(config),
            stalls: Stalls::default(),
            broker: None,
            doom: None,
        }
    }

    pub fn is_up(&self) -> bool {
        self.broker.is_some()
    }

    /// Starts a broker; false if it did not come up.
    pub async fn start(&mut self) -> bool {
        let process = self.world.process(&self.name);
        process.set_stalls(self.stalls);
        let disk = mortal(self.disk.clone(), process.clone());
        let network = Network::Memory(self.network.clone());
        let loggers = Arc::new(Loggers::new(|_| {}));
        let start = ottla_broker::start(process.rt(), disk, network, self.config.clone(), loggers);
        match self.finish(process.rt().spawn(Lane::Control, "main", start), "start").await {
            Some(Ok(Ok(running))) => {
                self.history.note(Event::Started);
                self.broker = Some(Broker { process, running });
                true
            }
            Some(Ok(Err(error))) => {
                self.history.tell(format!("== does not start: {error}"));
                if error.to_string().contains(REFUSAL) {
                    self.history.note(Event::Broken { what: format!("a directory of its own is refused: {error}") });
                }
                self.bury(process, Crash::Kill).await;
                false
            }
            Some(Err(Panicked)) | None => {
                let how = self.doom.take().unwrap_or(Crash::Kill);
                self.bury(process, how).await;
                false
            }
        }
    }

    /// Starts a broker on a disk without faults, which must not take long.
    pub async fn start_well(&mut self) {
        let began_ms = self.rt.mono_ms();
        let is_up = self.start().await;
        let took_ms = self.rt.mono_ms() - began_ms;
        if is_up && took_ms > PROMPT_MS {
            self.history.note(Event::Broken { what: format!("a start that nothing hinders took {took_ms} ms") });
        }
    }

    /// Asks the broker to stop.
    pub async fn stop(&mut self) {
        let Some(Broker { process, running }) = self.broker.take() else { return };
        self.history.tell("== stops");
        let stopped = self.finish(process.rt().spawn(Lane::Control, "main", running.stop()), "stop").await;
        let is_clean = matches!(stopped, Some(Ok(Ok(())))) && !process.is_killed() && self.has_marker();
        if !is_clean {
            let how = self.doom.take().unwrap_or(Crash::Kill);
            return self.bury(process, how).await;
        }
        self.history.note(Event::Stopped);
        self.end(&process).await;
        self.disk.kill();
        self.doom = None;
    }

    /// Ends the process now.
    pub async fn crash(&mut self, how: Crash) {
        if let Some(Broker { process, .. }) = self.broker.take() {
            self.bury(process, how).await;
        }
    }

    /// Has the process end at one of its next operations on the disk.
    pub fn doom(&mut self, operations: u64, how: Crash) {
        self.history.tell(format!("== doomed: {how:?} in {operations} disk operations"));
        self.disk.stop_at(self.disk.operations() + operations);
        self.doom = Some(how);
    }

    /// Whether the broker runs without one of its log directories: nobody holds that one's lock. It takes a start to change that.
    pub fn lacks_a_directory(&self) -> bool {
        self.is_up() && DIRECTORIES.iter().any(|dir| self.disk.lock(&Path::new(dir).join(".lock")).is_ok())
    }

    pub fn is_doomed(&self) -> bool {
        self.doom.is_some()
    }

    /// Waits for so long, or until the broker's doom has come.
    pub async fn wait(&mut self, duration: Duration) {
        let until_ms = self.rt.now().mono_ms + duration.as_millis() as i64;
        while self.rt.now().mono_ms < until_ms {
            if self.broker.as_ref().is_some_and(|broker| broker.process.is_killed()) {
                let how = self.doom.take().unwrap_or(Crash::Kill);
                return self.crash(how).await;
            }
            self.rt.sleep(LOOK).await;
        }
    }

    pub fn set_stalls(&mut self, stalls: Stalls) {
        self.stalls = stalls;
        if let Some(broker) = &self.broker {
            broker.process.set_stalls(stalls);
        }
    }

    /// Leaves so many bytes free; `None` takes the limit away.
    pub fn set_free_bytes(&mut self, free: Option<u64>) {
        const PLENTY: u64 = 1 << 40;
        self.disk.set_capacity(Some(PLENTY));
        let used = PLENTY - self.disk.free_bytes(Path::new(DATA)).unwrap_or(PLENTY);
        self.disk.set_capacity(free.map(|free| used + free));
    }

    pub fn set_odds(&mut self, errors_per_mille: u64) {
        self.disk.draw_errors(Odds { errors_per_mille, short_writes_per_mille: 20, cold_reads_per_mille: 50 });
    }

    /// Waits for a start or a stop. What takes too long while the disk is troubled is given a disk that is not.
    async fn finish<T>(&mut self, mut task: Task<T>, what: &str) -> Option<Result<T, Panicked>> {
        let ended = self.rt.timeout(START_LIMIT, &mut task).await;
        if ended.is_some() {
            return ended;
        }
        self.history.tell(format!("== the {what} is given a disk without faults"));
        self.calm_disk();
        let ended = self.rt.timeout(START_LIMIT, &mut task).await;
        if ended.is_none() {
            self.history.note(Event::Broken { what: format!("the {what} does not end") });
        }
        ended
    }

    pub fn calm_disk(&mut self) {
        self.set_odds(0);
        self.set_free_bytes(None);
        self.set_stalls(Stalls::default());
        self.disk.mend();
    }

    /// Ends what is left of a process and does to the disk what befell it.
    async fn bury(&mut self, process: Process, how: Crash) {
        self.history.note(match how {
            Crash::Kill => Event::Killed,
            Crash::PowerLoss => Event::PowerLost,
        });
        self.doom = None;
        self.end(&process).await;
        match how {
            Crash::Kill => self.disk.kill(),
            Crash::PowerLoss => self.disk.power_loss(),
        }
    }

    async fn end(&self, process: &Process) {
        process.kill();
        while !process.is_gone() {
            self.rt.sleep(LOOK).await;
        }
        if process.panics() > 0 {
            self.history.note(Event::Broken { what: format!("{} tasks of the broker panicked", process.panics()) });
        }
    }

    fn has_marker(&self) -> bool {
        DIRECTORIES.iter().all(|dir| {
            let entries = self.disk.list(Path::new(dir));
            entries.is_ok_and(|entries| entries.iter().any(|entry| entry.name == CLEAN_MARKER))
        })
    }
}

/// Where the broker of a machine listens.
pub fn address(number: u8) -> SocketAddr {
    SocketAddr::new(Ipv4Addr::new(10, 0, 0, number).into(), PORT)
}
