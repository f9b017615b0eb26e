//! What is logged: what an operator can act on, once, and nothing else.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Write};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use ottla_storage::disk::Operation;
use ottla_wire::ErrorCode;

use crate::support::*;

/// What the brokers of some threads log. Whether a line is wanted is found out once for all threads: so it is the whole process
/// that is listened to, and what other tests log is left out here.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<BTreeMap<String, Vec<u8>>>>);

static LINES: LazyLock<Lines> = LazyLock::new(|| {
    let lines = Lines::default();
    let writer = lines.clone();
    let logs = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    tracing::subscriber::set_global_default(logs).unwrap();
    lines
});

/// Each test has a thread of its own.
fn thread() -> String {
    format!("{:?}", std::thread::current().id())
}

impl Lines {
    /// Listens to this thread from now on; gives what was logged since this was called last.
    fn take(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().insert(thread(), Vec::new()).unwrap_or_default()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some(lines) = self.0.lock().unwrap().get_mut(&thread()) {
            lines.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_idle_broker_says_nothing() {
    let (machine, lines) = (Machine::new(), &*LINES);
    lines.take();
    let (before, idle, after) = machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        for (topic, policy) in [("plain", "delete"), ("compacted", "compact,delete")] {
            assert_eq!(broker.client.create(topic, &[("cleanup.policy", policy)]).await, ErrorCode::None);
        }
        assert_eq!(broker.client.produce("plain", 1000).await, ErrorCode::None);
        // What comes of it, and of the client, which is silent for too long.
        rt.sleep(Duration::from_secs(3600)).await;
        let before = lines.take();
        rt.sleep(Duration::from_secs(6 * 3600)).await;
        let idle = lines.take();
        machine.stop(broker).await.unwrap();
        (before, idle, lines.take())
    });
    assert!(before.contains("INFO"), "it says what it begins with: {before}");
    assert_eq!(idle, "");
    assert!(after.contains("stopped cleanly"), "{after}");
}

#[test]
fn a_directory_that_is_empty_where_it_should_not_be_is_told_of() {
    let (machine, lines) = (Machine::new(), &*LINES);
    lines.take();
    machine.world.block_on(async {
        let before = [("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/data,/mounted")];
        let mut broker = machine.start_set_up(&before).await;
        for topic in ["a", "b", "c", "d"] {
            assert_eq!(broker.client.create(topic, &[]).await, ErrorCode::None);
            assert_eq!(broker.client.produce(topic, 1000).await, ErrorCode::None);
        }
        machine.stop(broker).await.unwrap();
        lines.take();
        // As if nothing were mounted there.
        let after = [before[0], ("log.dirs", "/data,/not-mounted")];
        let broker = machine.start_set_up(&after).await;
        machine.stop(broker).await.unwrap();
    });
    let said = lines.take();
    let told: Vec<&str> = said.lines().filter(|line| line.contains("Is a disk not mounted")).collect();
    assert!(told.len() == 1 && told[0].contains("ERROR") && told[0].contains("2 partitions, among them "), "{said}");
}

#[test]
fn a_directory_that_fails_is_told_of_once() {
    // By the flusher, which finds that four logs cannot be synced; and by retention, which cannot remove a segment of each.
    for (failing, settings) in
        [(Operation::Sync, ("flush.messages", "1")), (Operation::Names, ("retention.bytes", "0"))]
    {
        let (machine, lines) = (Machine::new(), &*LINES);
        lines.take();
        machine.world.block_on(async {
            let dirs = ("log.dirs", "/b");
            let often = [("log.retention.check.interval.ms", "1000"), ("log.initial.task.delay.ms", "1000")];
            let broker = [("listeners", "PLAINTEXT://127.0.0.1:9092"), dirs, ("metadata.log.dir", "/data")];
            let mut broker = machine.start_set_up(&[&broker[..], &often].concat()).await;
            for topic in ["a", "b", "c", "d"] {
                let configs = [settings, ("internal.segment.bytes", "100")];
                assert_eq!(broker.client.create(topic, &configs).await, ErrorCode::None);
            }
            machine.disk.fail_all(failing, "/b/", ErrorKind::ReadOnlyFilesystem);
            for topic in ["a", "b", "c", "d", "a", "b", "c", "d"] {
                broker.client.produce(topic, 1000).await;
            }
            broker.process.rt().sleep(Duration::from_secs(20)).await;
            machine.crash(broker).await;
        });
        let said = lines.take();
        let errors: Vec<&str> = said.lines().filter(|line| line.contains("ERROR")).collect();
        assert!(errors.len() == 1 && errors[0].contains("goes offline with its partitions"), "{errors:#?}");
    }
}
