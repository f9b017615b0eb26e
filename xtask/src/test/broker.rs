//! A broker process: started on a port of the system's choice, stopped with SIGTERM or killed, its log kept.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

use super::tally::{Tally, Trouble};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 100;

pub struct Broker {
    pub address: String,
    /// Its `log.dirs`.
    pub data: PathBuf,
    /// When its process was started, and how long it took to its ready line.
    pub started: Instant,
    pub ready: Duration,
    pub pid: u32,
    log: PathBuf,
    told: Receiver<Told>,
    ended: Receiver<std::io::Result<ExitStatus>>,
    has_ended: bool,
}

/// What it says on its output.
#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// It serves clients at this address.
    Ready(String),
    /// Metrics are at this address.
    Metrics(String),
}

impl Broker {
    /// Starts `program server` with `settings`, each `KEY=VALUE`, on an empty folder below `folder`, and waits for its ready line.
    pub fn start(program: &Path, folder: &Path, settings: &[&str]) -> Result<Broker, Trouble> {
        let failed = |e: std::io::Error| Trouble::Failed(format!("{}: {e}", folder.display()));
        let (data, log) = (folder.join("data"), folder.join("broker.log"));
        if data.exists() {
            fs::remove_dir_all(&data).map_err(failed)?;
        }
        if log.exists() {
            fs::remove_file(&log).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        Broker::launch(Command::new(program), folder, settings)
    }

    /// Starts `command server` on what an earlier one has left below `folder`.
    pub fn start_again(command: Command, folder: &Path, settings: &[&str]) -> Result<Broker, Trouble> {
        Broker::launch(command, folder, settings)
    }

    fn launch(mut command: Command, folder: &Path, settings: &[&str]) -> Result<Broker, Trouble> {
        let (data, log) = (folder.join("data"), folder.join("broker.log"));
        let program = command.get_program().display().to_string();
        let failed = |e: std::io::Error| Trouble::Failed(format!("{program}: {e}"));
        let log_file = OpenOptions::new().create(true).append(true).open(&log).map_err(failed)?;
        command.args([
            "server",
            "--set",
            "listeners=PLAINTEXT://127.0.0.1:0",
            "--set",
            "advertised.listeners=PLAINTEXT://127.0.0.1:0",
            "--set",
            "ottla.http.listener=",
            "--set",
        ]);
        command.arg(format!("log.dirs={}", data.display()));
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file.try_clone().map_err(failed)?);
        let started = Instant::now();
        let mut child = command.spawn().map_err(failed)?;
        let (pid, output) = (child.id(), child.stdout.take().expect("it was asked for"));
        let (tell, told) = mpsc::channel();
        thread::spawn(move || follow(BufReader::new(output), log_file, |what| drop(tell.send(what))));
        let (say_ended, ended) = mpsc::channel();
        thread::spawn(move || drop(say_ended.send(child.wait())));
        let (address, ready) = (String::new(), Duration::MAX);
        let mut broker = Broker { address, data, started, ready, pid, log, told, ended, has_ended: false };
        match broker.told.recv_timeout(START_LIMIT) {
            Ok(Told::Ready(address)) => broker.address = address,
            _ => return Err(Trouble::Failed("the broker printed no ready line".into())),
        }
        broker.ready = started.elapsed();
        Ok(broker)
    }

    /// Where its metrics are, if a setting has asked for them. To be asked once.
    pub fn metrics_address(&self) -> Result<String, Trouble> {
        match self.told.recv_timeout(START_LIMIT) {
            Ok(Told::Metrics(address)) => Ok(address),
            _ => Err(Trouble::Failed("the broker did not say where its metrics are".into())),
        }
    }

    /// Asks it to stop; it must do so with status 0.
    pub fn stop(mut self) -> Result<Tally, Trouble> {
        let trouble = match self.end("TERM") {
            Some(Ok(status)) if status.success() => return Ok(Tally::passed(1)),
            Some(Ok(status)) => format!("the broker ended with {status}"),
            Some(Err(e)) => format!("the broker: {e}"),
            None => format!("the broker did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs()),
        };
        if self.has_ended {
            self.print_log();
        }
        Err(Trouble::Failed(trouble))
    }

    /// Ends it with SIGKILL.
    pub fn kill(mut self) -> Result<(), Trouble> {
        match self.end("KILL") {
            Some(_) => Ok(()),
            None => Err(Trouble::Failed("the broker did not end after SIGKILL".into())),
        }
    }

    /// Sends a signal, and waits for the process to end.
    fn end(&mut self, name: &str) -> Option<std::io::Result<ExitStatus>> {
        signal(self.pid, name);
        let status = self.ended.recv_timeout(STOP_LIMIT).ok();
        self.has_ended = status.is_some();
        status
    }

    pub fn print_log(&self) {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        crate::say(&format!("--- the last {} lines of {}\n{}\n---", end.len(), self.log.display(), end.join("\n")));
    }
}

/// Whoever drops a broker that was not ended gives up, and wants to know what it has said.
impl Drop for Broker {
    fn drop(&mut self) {
        if self.has_ended {
            return;
        }
        if self.ended.try_recv().is_err() {
            self.end("KILL");
        }
        self.print_log();
    }
}

/// Copies the broker's output into its log, and tells the addresses in it.
fn follow(output: impl BufRead, mut log: File, tell: impl Fn(Told)) {
    for line in output.split(b'\n') {
        let Ok(mut line) = line else { return };
        if let Some(what) = told(&String::from_utf8_lossy(&line)) {
            tell(what);
        }
        line.push(b'\n');
        if log.write_all(&line).is_err() {
            return; // the broker notices: its pipe is closed
        }
    }
}

/// The address in `ottla ready on 127.0.0.1:45123 in 12 ms`, or in `ottla metrics on http://127.0.0.1:9644/metrics`.
fn told(line: &str) -> Option<Told> {
    let (address, what): (_, fn(String) -> Told) = match line.split_once("ready on ") {
        Some((_, rest)) => (rest.split(' ').next()?, Told::Ready),
        None => (line.split_once("metrics on http://")?.1.strip_suffix("/metrics")?, Told::Metrics),
    };
    address.rsplit_once(':')?.1.parse::<u16>().ok().map(|_| what(address.to_owned()))
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status();
    if !sent.is_ok_and(|status| status.success()) {
        crate::say(&format!("could not send SIG{name} to process {pid}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let ready = |address: &str| Some(Told::Ready(address.to_owned()));
        assert_eq!(told("ottla ready on 127.0.0.1:45123 in 12 ms"), ready("127.0.0.1:45123"));
        assert_eq!(told("ready on localhost:1"), ready("localhost:1"));
        let metrics = Some(Told::Metrics("127.0.0.1:9644".to_owned()));
        assert_eq!(told("ottla metrics on http://127.0.0.1:9644/metrics"), metrics);
        assert_eq!(told("get ready on your marks"), None);
        assert_eq!(told("starting"), None);
    }
}
