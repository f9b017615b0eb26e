//! What is logged: nothing, while there is nothing that an operator could act on.

use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ottla_wire::ErrorCode;

use crate::support::*;

#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// What was logged since this was asked last.
    fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut *self.0.lock().unwrap())).unwrap()
    }
}

#[test]
fn an_idle_broker_says_nothing() {
    let (machine, lines) = (Machine::new(), Lines::default());
    let writer = lines.clone();
    let logs = tracing_subscriber::fmt().with_writer(move || writer.clone()).with_ansi(false).finish();
    let (before, idle, after) = tracing::subscriber::with_default(logs, || {
        machine.world.block_on(async {
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
        })
    });
    assert!(before.contains("INFO"), "it says what it begins with: {before}");
    assert_eq!(idle, "");
    assert!(after.contains("stopped cleanly"), "{after}");
}
