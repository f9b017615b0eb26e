//! What the system says of this process, under the names that Prometheus' client libraries give it.

use std::fs;

/// A look at the process. `None` is what the system does not tell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    pub cpu_seconds: Option<f64>,
    /// Since 1970-01-01 UTC.
    pub start_seconds: Option<f64>,
    pub resident_bytes: Option<u64>,
    pub virtual_bytes: Option<u64>,
    pub open_fds: Option<u64>,
    pub max_fds: Option<u64>,
    /// What the process has made the disk read, and write.
    pub disk_read_bytes: Option<u64>,
    pub disk_write_bytes: Option<u64>,
}

/// Reads `/proc`; the list of open files is as long as the list of connections.
pub fn look() -> Process {
    let read = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (limits, io) = (read("limits"), read("io"));
    let units = Units {
        ticks_a_second: rustix::param::clock_ticks_per_second() as f64,
        page_bytes: rustix::param::page_size() as u64,
        boot_seconds: fs::read_to_string("/proc/stat").ok().and_then(|text| boot_seconds(&text)),
    };
    Process {
        open_fds: fs::read_dir("/proc/self/fd").ok().map(|fds| fds.count() as u64),
        max_fds: limits.lines().find_map(|line| line.strip_prefix("Max open files")).and_then(first_number),
        disk_read_bytes: io.lines().find_map(|line| line.strip_prefix("read_bytes:")).and_then(first_number),
        disk_write_bytes: io.lines().find_map(|line| line.strip_prefix("write_bytes:")).and_then(first_number),
        ..of_stat(&read("stat"), &units).unwrap_or_default()
    }
}

struct Units {
    ticks_a_second: f64,
    page_bytes: u64,
    boot_seconds: Option<f64>,
}

fn boot_seconds(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Of `/proc/<pid>/stat`, whose second field is a name that may hold anything; the fields behind it are counted from 3.
fn of_stat(stat: &str, units: &Units) -> Option<Process> {
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let seconds = |number| Some(field(number)? as f64 / units.ticks_a_second);
    Some(Process {
        cpu_seconds: Some(seconds(14)? + seconds(15)?),
        start_seconds: units.boot_seconds.zip(seconds(22)).map(|(boot, since)| boot + since),
        virtual_bytes: field(23),
        resident_bytes: field(24).map(|pages| pages * units.page_bytes),
        ..Process::default()
    })
}

fn first_number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_process_with_a_strange_name() {
        let stat = "123 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 150 50 13 14 15 16 17 18 1000 8192 3 20";
        let units =
            Units { ticks_a_second: 100.0, page_bytes: 4096, boot_seconds: boot_seconds("cpu 1\nbtime 1000\n") };
        let expected = Process {
            cpu_seconds: Some(2.0),
            start_seconds: Some(1010.0),
            virtual_bytes: Some(8192),
            resident_bytes: Some(3 * 4096),
            ..Process::default()
        };
        assert_eq!(of_stat(stat, &units), Some(expected));
        assert_eq!(of_stat("nonsense", &units), None);
    }

    #[test]
    fn this_process_has_memory_and_files() {
        let process = look();
        assert!(process.resident_bytes.is_some_and(|bytes| bytes > 100_000));
        assert!(process.open_fds.is_some_and(|fds| fds > 2) && process.max_fds.is_some());
        assert!(process.start_seconds.is_some_and(|at| at > 1e9) && process.cpu_seconds.is_some());
    }
}
