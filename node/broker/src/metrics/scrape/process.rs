//! The process, whatever it is doing.

use ottla_observe::process::{Process, look};
use ottla_observe::{Family, Labels, Text, Value};

use super::BrokerState;
use super::families::process::*;

pub fn write(text: &mut Text, state: BrokerState) {
    let version = Labels::of(OTTLA_BUILD_INFO.labels, &[env!("CARGO_PKG_VERSION")]);
    text.family(&OTTLA_BUILD_INFO, [(&version, 1_u32)]);
    text.single(&KAFKA_SERVER_KAFKASERVER_BROKERSTATE, state as u32);
    let process = look();
    let Process { cpu_seconds, start_seconds, resident_bytes, virtual_bytes, open_fds, max_fds, .. } = process;
    known(text, &PROCESS_CPU_SECONDS_TOTAL, cpu_seconds);
    known(text, &PROCESS_START_TIME_SECONDS, start_seconds);
    known(text, &PROCESS_RESIDENT_MEMORY_BYTES, resident_bytes);
    known(text, &PROCESS_VIRTUAL_MEMORY_BYTES, virtual_bytes);
    known(text, &PROCESS_OPEN_FDS, open_fds);
    known(text, &PROCESS_MAX_FDS, max_fds);
    known(text, &KAFKA_SERVER_KAFKASERVER_LINUX_DISK_READ_BYTES, process.disk_read_bytes);
    known(text, &KAFKA_SERVER_KAFKASERVER_LINUX_DISK_WRITE_BYTES, process.disk_write_bytes);
}

fn known<V: Into<Value>>(text: &mut Text, family: &Family, value: Option<V>) {
    if let Some(value) = value {
        text.single(family, value);
    }
}
