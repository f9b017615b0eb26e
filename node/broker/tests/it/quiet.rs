//! What is logged: nothing, while there is nothing that an operator could act on.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::thread::{self, ThreadId};
use std::time::Duration;

use ottla_wire::ErrorCode;

use crate::support::*;

/// What the broker of this thread logs. Whether a line is wanted is found out once for all threads: so it is the whole
/// process that is listened to, and what other tests log is left out here.
#[derive(Clone)]
struct Lines {
    written: Arc<Mutex<Vec<u8>>>,
    thread: ThreadId,
}

impl Lines {
    fn listen() -> Lines {
        let lines = Lines { written: Arc::default(), thread: thread::current().id() };
        let writer = lines.clone();
        let logs = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
        tracing::subscriber::set_global_default(logs).unwrap();
        lines
    }

    /// What was logged since this was asked last.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.written.lock().unwrap())).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if thread::current().id() == self.thread {
            self.written.lock().unwrap().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn an_idle_broker_says_nothing() {
    let (machine, lines) = (Machine::new(), Lines::listen());
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
