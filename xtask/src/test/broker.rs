//! The broker that all clients share: started on a port of the system's choice, stopped with SIGTERM, its log kept.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use super::tally::{Tally, Trouble};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(30);
const LOG_LINES: usize = 100;

pub struct Broker {
    pub address: String,
    /// Its `log.dirs`.
    pub data: PathBuf,
    log: PathBuf,
    pid: u32,
    ended: Receiver<std::io::Result<ExitStatus>>,
}

impl Broker {
    /// Starts `program server` on an empty folder below `folder` and waits for its ready line.
    pub fn start(program: &Path, folder: &Path) -> Result<Broker, Trouble> {
        let (data, log) = (folder.join("data"), folder.join("broker.log"));
        let failed = |e: std::io::Error| Trouble::Failed(format!("{}: {e}", program.display()));
        if data.exists() {
            fs::remove_dir_all(&data).map_err(failed)?;
        }
        fs::create_dir_all(folder).map_err(failed)?;
        let log_file = File::create(&log).map_err(failed)?;
        let mut command = Command::new(program);
        command.args([
            "server",
            "--set",
            "listeners=PLAINTEXT://127.0.0.1:0",
            "--set",
            &format!("log.dirs={}", data.display()),
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log_file.try_clone().map_err(failed)?);
        let mut child = command.spawn().map_err(failed)?;
        let (pid, output) = (child.id(), child.stdout.take().expect("it was asked for"));
        let (say_ready, ready) = mpsc::channel();
        thread::spawn(move || follow(BufReader::new(output), log_file, |address| drop(say_ready.send(address))));
        let (say_ended, ended) = mpsc::channel();
        thread::spawn(move || drop(say_ended.send(child.wait())));
        let broker = Broker { address: String::new(), data, log, pid, ended };
        match ready.recv_timeout(START_LIMIT) {
            Ok(address) => Ok(Broker { address, ..broker }),
            Err(_) => {
                signal(broker.pid, "KILL");
                broker.print_log();
                Err(Trouble::Failed(format!("{} printed no ready line", program.display())))
            }
        }
    }

    /// Asks it to stop; it must do so with status 0.
    pub fn stop(&self) -> Result<Tally, Trouble> {
        signal(self.pid, "TERM");
        let trouble = match self.ended.recv_timeout(STOP_LIMIT) {
            Ok(Ok(status)) if status.success() => return Ok(Tally::passed(1)),
            Ok(Ok(status)) => format!("the broker ended with {status}"),
            Ok(Err(e)) => format!("the broker: {e}"),
            Err(_) => {
                signal(self.pid, "KILL");
                format!("the broker did not stop within {} s of SIGTERM", STOP_LIMIT.as_secs())
            }
        };
        self.print_log();
        Err(Trouble::Failed(trouble))
    }

    pub fn print_log(&self) {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        let end = &lines[lines.len().saturating_sub(LOG_LINES)..];
        crate::say(&format!("--- the last {} lines of {}\n{}\n---", end.len(), self.log.display(), end.join("\n")));
    }
}

/// Copies the broker's output into its log, and tells the address of its ready line.
fn follow(output: impl BufRead, mut log: File, tell: impl Fn(String)) {
    for line in output.split(b'\n') {
        let Ok(mut line) = line else { return };
        if let Some(address) = ready_address(&String::from_utf8_lossy(&line)) {
            tell(address.to_string());
        }
        line.push(b'\n');
        if log.write_all(&line).is_err() {
            return; // the broker notices: its pipe is closed
        }
    }
}

/// The address in `ottla ready on 127.0.0.1:45123 in 12 ms`.
fn ready_address(line: &str) -> Option<&str> {
    let address = line.split_once("ready on ")?.1.split(' ').next()?;
    address.rsplit_once(':')?.1.parse::<u16>().ok().map(|_| address)
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
    fn the_ready_line() {
        assert_eq!(ready_address("ottla ready on 127.0.0.1:45123 in 12 ms"), Some("127.0.0.1:45123"));
        assert_eq!(ready_address("ready on localhost:1"), Some("localhost:1"));
        assert_eq!(ready_address("get ready on your marks"), None);
        assert_eq!(ready_address("starting"), None);
    }
}
