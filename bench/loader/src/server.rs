//! A server under load: its process, its address, its clock and its memory.
//!
//! Every round has a process of its own on an empty directory, which is emptied afterwards: none pays for what another left behind,
//! and the pages that one frees are those the next one fills. Kafka, where it has to be warm, has one for all rounds of a case
//! ([`Kept`]), and deletes what a row has written. So all servers meet a page cache in the same state, and Ottla, which keeps its
//! segments, and the floor need no common idea of when to delete. A server is stopped with SIGKILL: a clean stop would write to the
//! disk what is about to be deleted.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::time::clock_getcpuclockid;
use nix::unistd::Pid;

use crate::apache::Apache;
use crate::kafka::reply;
use crate::kafka::request::{self, CORRELATION_ID_AT, HEAD_BYTES};
use crate::load::STALL_LIMIT;
use crate::machine::since_epoch;

/// Which server to measure.
#[derive(Clone, Debug)]
pub enum Side {
    Ottla {
        program: PathBuf,
    },
    Floor {
        program: PathBuf,
    },
    Kafka(Apache),
    /// One that somebody else started and stops. Its topics stay.
    Running {
        address: SocketAddr,
        pid: u32,
    },
}

impl Side {
    pub fn name(&self) -> &'static str {
        match self {
            Side::Ottla { .. } => "ottla",
            Side::Floor { .. } => "floor",
            Side::Kafka(_) => "kafka",
            Side::Running { .. } => "running",
        }
    }
}

/// The partitions that a row needs.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    pub partitions: usize,
    pub segment_bytes: u64,
}

#[derive(Debug)]
pub struct Server {
    pub address: SocketAddr,
    pid: u32,
    /// When its process was started.
    pub started: Instant,
    /// It has served a round before.
    is_warm: bool,
    own: Option<Own>,
}

/// Between rounds, the process of Kafka that serves all of them: what it costs falls for longer than a round may take.
/// It is stopped (SIGSTOP) while others are measured.
#[derive(Debug, Default)]
pub struct Kept(Mutex<Option<Server>>);

impl Kept {
    pub fn take_or_start(&self, side: &Side, topic: Topic, scratch: &Path) -> anyhow::Result<Server> {
        let Side::Kafka(apache) = side else { return Server::start(side, topic, scratch) };
        match self.slot().take() {
            Some(server) => server.signal(Signal::SIGCONT).map(|()| server),
            None => {
                let kept = Side::Kafka(Apache { is_kept: true, ..apache.clone() });
                Server::start(&kept, topic, scratch)
            }
        }
    }

    /// Where a round is over: others than Kafka stop.
    pub fn give_back(&self, side: &Side, mut server: Server) -> anyhow::Result<()> {
        if let Side::Kafka(_) = side {
            server.until_at_rest()?;
            server.signal(Signal::SIGSTOP)?;
            server.is_warm = true;
            *self.slot() = Some(server);
            return Ok(());
        }
        server.stop()
    }

    fn slot(&self) -> MutexGuard<'_, Option<Server>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What there is of a process that we started.
#[derive(Debug)]
struct Own {
    launch: Launch,
    child: Child,
    /// Kept open: a server whose output nobody takes may end.
    _output: Option<ChildStdout>,
}

/// How a process is started on a directory.
#[derive(Debug)]
struct Launch {
    command: Command,
    dir: PathBuf,
    /// Where it will be, if it does not say so.
    address: Option<SocketAddr>,
}

/// A server that has stopped, and may start again on what it has stored.
#[derive(Debug)]
pub struct Stopped(Launch);

impl Stopped {
    /// Waits until the server answers.
    pub fn start(self) -> anyhow::Result<Server> {
        self.0.run()
    }
}

/// How a process is to end that may start again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It stops by itself.
    Clean,
    Killed,
}

/// Keys of the broker's configuration, and their values.
pub type Settings<'a> = &'a [(&'a str, &'a str)];

/// Ottla's answer to CreateTopics means that the topic can be used; with others that takes a moment.
const SETTLE: Duration = Duration::from_secs(2);
const READY_LIMIT: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// A server that uses less than a twentieth of a processor for so long is at rest.
const REST_LOOK: Duration = Duration::from_secs(1);
const REST_LIMIT: Duration = Duration::from_secs(30);

impl Server {
    /// Starts a server on a directory below `scratch` and waits for its ready line. Its log is beside the directory.
    pub fn start(side: &Side, topic: Topic, scratch: &Path) -> anyhow::Result<Server> {
        Server::start_set(side, topic, &[], scratch)
    }

    /// The same with settings, which the floor does not know.
    pub fn start_set(side: &Side, topic: Topic, settings: Settings<'_>, scratch: &Path) -> anyhow::Result<Server> {
        let dir = scratch.join(format!("data-{}", side.name()));
        if dir.exists() {
            set_aside(&dir)?;
        }
        fs::create_dir_all(scratch)?;
        let log = scratch.join(format!("{}.log", side.name()));
        let mut command = match side {
            Side::Running { address, pid } => {
                return Ok(Server { address: *address, pid: *pid, started: Instant::now(), is_warm: false, own: None });
            }
            Side::Kafka(apache) => {
                assert!(settings.is_empty(), "Kafka runs as it is shipped");
                let (mut command, address) = apache.prepare(&dir, scratch)?;
                let log = File::create(log)?;
                command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
                return Launch { command, dir, address: Some(address) }.run();
            }
            Side::Ottla { program } => {
                let mut command = Command::new(program);
                command.args(["server", "--set", "listeners=PLAINTEXT://127.0.0.1:0"]);
                command.args(["--set", "ottla.http.listener=127.0.0.1:0", "--set"]);
                command.arg(format!("log.dirs={}", dir.display()));
                for (key, value) in settings {
                    command.arg("--set").arg(format!("{key}={value}"));
                }
                command
            }
            Side::Floor { program } => {
                let mut command = Command::new(program);
                command.arg(&dir).args([topic.partitions.to_string(), topic.segment_bytes.to_string()]);
                command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(File::create(&log)?);
        Launch { command, dir, address: None }.run()
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        Ok(kill(Pid::from_raw(self.pid as i32), signal)?)
    }

    /// Until Kafka has deleted what it was told to, and does nothing besides: it would fall on what is measured next.
    pub fn until_at_rest(&self) -> anyhow::Result<()> {
        let dir = self.dir().context("a server that we started")?;
        let (began, mut before) = (Instant::now(), self.cpu()?);
        while began.elapsed() < REST_LIMIT {
            thread::sleep(REST_LOOK);
            let now = self.cpu()?;
            let mut entries = fs::read_dir(dir)?.filter_map(Result::ok);
            let has_deleted = !entries.any(|entry| entry.file_name().as_encoded_bytes().ends_with(b"-delete"));
            if has_deleted && now - before < REST_LOOK / 20 {
                return Ok(());
            }
            before = now;
        }
        bail!("the server has no rest {} s after the load has ended", REST_LIMIT.as_secs())
    }

    pub fn is_warm(&self) -> bool {
        self.is_warm
    }

    /// Ends the process, and leaves what it has stored.
    pub fn end(mut self, how: End) -> anyhow::Result<Stopped> {
        let mut own = self.own.take().context("a server that somebody else started")?;
        let signal = if how == End::Clean { Signal::SIGTERM } else { Signal::SIGKILL };
        self.signal(signal)?;
        own.child.wait()?;
        Ok(Stopped(own.launch))
    }

    /// Makes the topic, and lets what comes of it pass. The floor knows no topics and needs none.
    pub fn create_topic(&self, side: &Side, name: &str, topic: Topic) -> anyhow::Result<()> {
        self.ask_for_topic(side, name, topic)?;
        if let Side::Running { .. } | Side::Kafka(_) = side {
            thread::sleep(SETTLE);
        }
        Ok(())
    }

    /// The same without a pause.
    pub fn ask_for_topic(&self, side: &Side, name: &str, topic: Topic) -> anyhow::Result<()> {
        if let Side::Floor { .. } = side {
            return Ok(());
        }
        let segment_bytes = topic.segment_bytes.to_string();
        let configs = [("segment.bytes", segment_bytes.as_str()), ("file.delete.delay.ms", "0")];
        let request = request::create_topic(name, topic.partitions as i32, &configs);
        let create = || Caller::connect(self.address)?.call(request.clone(), reply::topic_created);
        match side {
            // It answers before it is registered.
            Side::Kafka(_) => self.until(create),
            _ => create(),
        }
    }

    /// Deletes the topic, and its files at once: a process that serves many rows would fill the disk.
    pub fn delete_topic(&self, side: &Side, name: &str) -> anyhow::Result<()> {
        match side {
            Side::Kafka(_) => Caller::connect(self.address)?.call(request::delete_topic(name), reply::topic_deleted),
            // Its directory is gone after a row; or it is somebody else's.
            _ => Ok(()),
        }
    }

    /// Its directory, where we have started it.
    pub fn dir(&self) -> Option<&Path> {
        self.own.as_ref().map(|own| own.launch.dir.as_path())
    }

    /// Tries until it succeeds.
    pub fn until<T>(&self, mut attempt: impl FnMut() -> anyhow::Result<T>) -> anyhow::Result<T> {
        let began = Instant::now();
        loop {
            match attempt() {
                Err(error) if began.elapsed() > READY_LIMIT => {
                    return Err(error.context("the server does not get ready"));
                }
                Err(_) => {
                    self.cpu().context("the server has ended")?;
                    thread::sleep(LOOK_EVERY);
                }
                done => return done,
            }
        }
    }

    /// What the process has used so far: all threads, those that have ended too, user and system.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid as i32)).context("the server's processor clock")?;
        Ok(clock.now()?.into())
    }

    /// What the process has had read from a disk so far.
    pub fn disk_bytes_read(&self) -> anyhow::Result<u64> {
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid))?;
        let told = io.lines().find_map(|line| line.strip_prefix("read_bytes: "));
        told.context("nothing is told of what it has read")?.parse().context("bytes that it has read")
    }

    /// Resident memory, and the part of it that no file backs.
    pub fn resident(&self) -> anyhow::Result<Resident> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let field = |name| bytes_of(&status, name).with_context(|| format!("no {name} in the status of the process"));
        Ok(Resident { all: field("VmRSS:")?, anonymous: field("RssAnon:")? })
    }

    /// Kills the process and empties its directory.
    pub fn stop(mut self) -> anyhow::Result<()> {
        match self.own.take() {
            Some(own) => own.remove(),
            None => Ok(()),
        }
    }
}

/// A run that failed leaves no process behind.
impl Drop for Server {
    fn drop(&mut self) {
        if let Some(own) = self.own.take() {
            drop(own.remove());
        }
    }
}

impl Launch {
    /// Waits for the ready line, or where there is none until it answers.
    fn run(mut self) -> anyhow::Result<Server> {
        let started = Instant::now();
        let mut child = self.command.spawn().with_context(|| format!("cannot start {:?}", self.command))?;
        let pid = child.id();
        let Some(address) = self.address else {
            let mut output = BufReader::new(child.stdout.take().expect("it was asked for"));
            let mut line = String::new();
            output.read_line(&mut line)?;
            let Some(address) = ready_address(&line) else {
                let log = self.dir.with_extension("log");
                drop(Own { launch: self, child, _output: None }.remove());
                bail!("no ready line; see the log beside {}", log.display());
            };
            let own = Own { launch: self, child, _output: Some(output.into_inner()) };
            return Ok(Server { address, pid, started, is_warm: false, own: Some(own) });
        };
        let own = Own { launch: self, child, _output: None };
        let server = Server { address, pid, started, is_warm: false, own: Some(own) };
        server.until(|| Caller::connect(address)?.call(request::api_versions(), reply::api_versions))?;
        Ok(server)
    }
}

impl Own {
    fn remove(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        set_aside(&self.launch.dir)
    }
}

/// Where directories wait for the end of the run, beside those that are in use.
const ASIDE: &str = "aside";

/// Gives back what the files of a directory take of the disk, and leaves them for the end of the run. ext4 without a journal looks
/// for an inode that has not been deleted in the last minutes, one by one: who creates ten thousand files after as many were deleted
/// pays a millisecond for each.
fn set_aside(dir: &Path) -> anyhow::Result<()> {
    let aside = dir.parent().context("a directory of the run")?.join(ASIDE);
    fs::create_dir_all(&aside)?;
    empty(dir)?;
    fs::rename(dir, aside.join(since_epoch().as_nanos().to_string()))?;
    Ok(())
}

fn empty(dir: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            empty(&entry.path())?;
        } else if entry.metadata()?.len() > 0 {
            File::options().write(true).open(entry.path())?.set_len(0)?;
        }
    }
    Ok(())
}

/// Removes the directories of a run, at its end, and at the start of the next those of one that was cut off.
pub fn clean(scratch: &Path) -> anyhow::Result<()> {
    for name in [ASIDE, "data-ottla", "data-floor", "data-kafka"] {
        let dir = scratch.join(name);
        if dir.exists() {
            fs::remove_dir_all(dir)?;
        }
    }
    Ok(())
}

/// Bytes.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    pub all: u64,
    pub anonymous: u64,
}

fn bytes_of(status: &str, name: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse::<u64>().ok().map(|kib| kib << 10)
}

/// The address in `ottla ready on 127.0.0.1:45123 in 12 ms`.
fn ready_address(line: &str) -> Option<SocketAddr> {
    line.split_once("ready on ")?.1.split_whitespace().next()?.parse().ok()
}

/// A connection that waits for each reply.
#[derive(Debug)]
pub struct Caller {
    stream: TcpStream,
    correlation_id: i32,
}

impl Caller {
    pub fn connect(server: SocketAddr) -> anyhow::Result<Caller> {
        let stream = TcpStream::connect(server).with_context(|| format!("cannot connect to {server}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(STALL_LIMIT))?;
        Ok(Caller { stream, correlation_id: 0 })
    }

    /// Sends the frame and hands the reply and its correlation id to `read`.
    pub fn call<T>(
        &mut self,
        mut frame: Vec<u8>,
        read: impl FnOnce(&[u8], i32) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        self.correlation_id += 1;
        frame[CORRELATION_ID_AT..HEAD_BYTES].copy_from_slice(&self.correlation_id.to_be_bytes());
        self.stream.write_all(&frame)?;
        let mut reply = vec![0; 4];
        self.stream.read_exact(&mut reply)?;
        let bytes = reply::frame_bytes(&reply).expect("four bytes tell it");
        reply.resize(bytes, 0);
        self.stream.read_exact(&mut reply[4..])?;
        read(&reply, self.correlation_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ready_line() {
        let address = "127.0.0.1:45123".parse().ok();
        assert_eq!(ready_address("ottla ready on 127.0.0.1:45123 in 12 ms\n"), address);
        assert_eq!(ready_address("floor ready on 127.0.0.1:45123\n"), address);
        assert_eq!(ready_address("starting"), None);
    }

    #[test]
    fn memory_of_a_process() {
        let status = "Name:\tottla\nVmRSS:\t    1024 kB\nRssAnon:\t     512 kB\n";
        assert_eq!((bytes_of(status, "VmRSS:"), bytes_of(status, "RssAnon:")), (Some(1 << 20), Some(512 << 10)));
        assert_eq!(bytes_of(status, "RssFile:"), None);
    }
}
