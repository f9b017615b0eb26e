//! `ottla-floor`: how little processor time could Kafka's produce and fetch cost on this machine?
//!
//! A figure in µs says nothing by itself: half of it is the kernel's, and no two machines agree. So Ottla is divided by a
//! server that does only what nobody can leave out: take the bytes from the socket, find the batch in them, check its
//! CRC-32C, give it its offset, hand it to the page cache, and answer. No topics, no sessions, no limits, no index: one
//! blocking thread for each connection, one fixed buffer, one write for all replies of a read. It speaks real Kafka
//! (Produce 9 to 12 and Fetch 12, one partition a request), so that the same loader drives both.
//!
//! A partition is a number below `--partitions`; the topic's name is echoed and means nothing.

mod connection;
mod fetch;
mod fields;
mod log;
mod produce;

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use log::Partition;

const USAGE: &str = "usage: ottla-floor DIR PARTITIONS SEGMENT_BYTES";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, partitions, segment_bytes] = &arguments[..] else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let (Ok(partitions), Ok(segment_bytes)) = (partitions.parse(), segment_bytes.parse()) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    match serve(&PathBuf::from(dir), partitions, segment_bytes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla-floor: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Serves on a port of the system's choice, which the ready line tells, until it is killed.
fn serve(dir: &PathBuf, partitions: u32, segment_bytes: u64) -> io::Result<()> {
    std::fs::create_dir_all(dir)?;
    let create = |partition| Partition::create(dir.join(partition_name(partition)), segment_bytes);
    let partitions: Arc<[Partition]> = (0..partitions).map(create).collect::<io::Result<_>>()?;
    let listener = TcpListener::bind("127.0.0.1:0")?;
    writeln!(io::stdout(), "floor ready on {}", listener.local_addr()?)?;
    for stream in listener.incoming() {
        let (stream, partitions) = (stream?, Arc::clone(&partitions));
        thread::spawn(move || {
            if let Err(error) = connection::serve(stream, &partitions) {
                eprintln!("ottla-floor: {error}");
            }
        });
    }
    Ok(())
}

fn partition_name(partition: u32) -> String {
    format!("floor-{partition}")
}
