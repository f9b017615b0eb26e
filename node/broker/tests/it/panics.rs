//! Bugs: in a task that the whole broker lives on, and in the middle of an append.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use ottla_rt::Lane;
use ottla_storage::disk::{Operation, Watch, WatchedDisk};
use ottla_wire::ErrorCode;

use crate::support::*;

/// An operation panics while it is there.
#[derive(Debug)]
pub struct Bug {
    operation: Operation,
    is_there: AtomicBool,
}

impl Bug {
    pub fn of(operation: Operation) -> Arc<Bug> {
        Arc::new(Bug { operation, is_there: AtomicBool::new(false) })
    }

    pub fn strike(&self) {
        self.is_there.store(true, Ordering::Relaxed);
    }

    pub fn go(&self) {
        self.is_there.store(false, Ordering::Relaxed);
    }
}

impl Watch for Bug {
    fn before(&self, operation: Operation) {
        assert!(operation != self.operation || !self.is_there.load(Ordering::Relaxed), "a bug");
    }
}

#[test]
fn the_broker_is_to_be_stopped_when_its_flusher_panics() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let bug = Bug::of(Operation::Sync);
        let mut broker = machine.start_on(Arc::new(WatchedDisk::new(machine.disk.clone(), bug.clone()))).await.unwrap();
        let rt = broker.process.rt();
        assert_eq!(broker.client.create("t", &[("flush.messages", "1")]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        let soon = Duration::from_secs(5);
        assert!(rt.timeout(soon, broker.running.failed()).await.is_none(), "all is well");
        bug.strike();
        let mut client = machine.connect().await;
        rt.spawn(Lane::Data, "client", async move { client.produce("t", 1000).await });
        assert!(rt.timeout(soon, broker.running.failed()).await.is_some());
        bug.go();
        machine.crash(broker).await;
    });
}

#[test]
fn a_partition_that_a_bug_has_left_half_changed_is_opened_again() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let bug = Bug::of(Operation::Write);
        let disk = Arc::new(WatchedDisk::new(machine.disk.clone(), bug.clone()));
        let mut broker = machine.start_on(disk).await.unwrap();
        let rt = broker.process.rt();
        for topic in ["bad", "good"] {
            assert_eq!(broker.client.create(topic, &[]).await, ErrorCode::None);
            assert_eq!(broker.client.produce(topic, 1000).await, ErrorCode::None);
        }
        bug.strike();
        let mut client = machine.connect().await;
        let dies = rt.spawn(Lane::Data, "client", async move { client.produce("bad", 1000).await });
        assert!(dies.await.is_err(), "its connection is gone");
        bug.go();
        assert_eq!(broker.client.produce("bad", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(broker.client.produce("good", 1000).await, ErrorCode::None);
        rt.sleep(Duration::from_secs(6)).await;
        for topic in ["bad", "good"] {
            assert_eq!(broker.client.produce(topic, 1000).await, ErrorCode::None);
        }
        assert!(machine.stop(broker).await.is_ok());
    });
}
