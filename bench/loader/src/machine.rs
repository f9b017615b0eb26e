//! Where and with what a figure was taken: without that it is none.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

/// Other work up to this load average, for each processor, is taken for none.
const QUIET_LOAD: f64 = 0.5;

#[derive(Debug)]
pub struct Machine {
    cpu: String,
    processors: usize,
    memory_gib: u64,
    kernel: String,
    /// Over the last minute, before we began.
    load_average: f64,
}

impl Machine {
    pub fn look() -> Machine {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name));
            line.and_then(|line| line.split_once(':')).map_or("unknown".into(), |(_, value)| value.trim().to_string())
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory_kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or(0);
        Machine {
            cpu: field(&read("/proc/cpuinfo"), "model name"),
            processors: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_kib >> 20,
            kernel: read("/proc/sys/kernel/osrelease").trim().to_string(),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let Machine { cpu, processors, memory_gib, kernel, load_average } = self;
        let mut lines = vec![format!(
            "{cpu}, {processors} processors, {memory_gib} GiB, Linux {kernel}, load average {load_average}"
        )];
        if *load_average > QUIET_LOAD * *processors as f64 {
            lines
                .push("The machine is busy with other work: these figures show that the rows run, and no more.".into());
        }
        lines
    }

    pub fn json(&self) -> Value {
        json!({
            "cpu": self.cpu, "processors": self.processors, "memory_gib": self.memory_gib, "kernel": self.kernel,
            "load_average_before": self.load_average,
        })
    }
}

pub fn since_epoch() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// What the program says of its version, and the commit of the tree that we stand in.
pub fn version(program: &Path) -> String {
    let said = said_by(Command::new(program).arg("--version")).unwrap_or_else(|| "unknown".into());
    let commit = said_by(Command::new("git").args(["describe", "--always", "--dirty", "--abbrev=12"]));
    format!("{said} at commit {}", commit.unwrap_or_else(|| "unknown".into()))
}

fn said_by(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).trim().to_string())
}
