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
    /// File system of the servers' directories, and how it is mounted.
    disk: String,
    /// Over the last minute, before we began.
    load_average: f64,
}

impl Machine {
    /// `out` is where the servers' directories will be.
    pub fn look(out: &Path) -> Machine {
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
            disk: mounted(&read("/proc/self/mounts"), out).unwrap_or("unknown".into()),
            load_average: read("/proc/loadavg").split(' ').next().and_then(|load| load.parse().ok()).unwrap_or(0.0),
        }
    }

    /// For people.
    pub fn lines(&self) -> Vec<String> {
        let Machine { cpu, processors, memory_gib, kernel, disk, load_average } = self;
        let mut lines = vec![format!(
            "{cpu}, {processors} processors, {memory_gib} GiB, Linux {kernel}, {disk}, load average {load_average}"
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
            "disk": self.disk, "load_average_before": self.load_average,
        })
    }
}

/// Of the mounts that the path is below the last and closest one: `ext4 (rw,relatime)`.
fn mounted(mounts: &str, path: &Path) -> Option<String> {
    let path = path.ancestors().find_map(|path| path.canonicalize().ok())?;
    let above = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        let (point, kind, options) = (words.next()?, words.next()?, words.next()?);
        path.starts_with(point).then_some((point.len(), kind, options))
    });
    above.max_by_key(|(length, ..)| *length).map(|(_, kind, options)| format!("{kind} ({options})"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closest_mount_is_that_of_a_path() {
        let mounts = "/dev/a / ext4 rw,discard 0 0\nproc /proc proc rw 0 0\n/dev/b / xfs rw 0 0\n";
        assert_eq!(mounted(mounts, Path::new("/proc/self-not-there/out")).unwrap(), "proc (rw)");
        assert_eq!(mounted(mounts, Path::new("/not-there")).unwrap(), "xfs (rw)");
        assert_eq!(mounted("", Path::new("/")), None);
    }
}
