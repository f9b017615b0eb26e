//! Moves between log directories in which something fails.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ottla_storage::disk::{Disk, FaultyDisk, Open, Operation, Watch, WatchedDisk};
use ottla_wire::ErrorCode;

use crate::directories::*;
use crate::moves::*;
use crate::panics::Bug;
use crate::support::*;

#[test]
fn where_the_old_replica_cannot_be_taken_away_it_stays() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        // The old one cannot be renamed: it stays, and the move is tried again.
        machine.disk.fail_all(Operation::Names, "/data/a-0", ErrorKind::Other);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_secs(8)).await;
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: +a b d"]);
        assert!(!names(&machine, "/b").contains(&"a-0".to_owned()));
        machine.disk.mend();
        until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 3));
        machine.crash(broker).await;
        machine.disk.mend();

        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: c", "/b: a b d"]);
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 3));
    });
}

#[test]
fn a_source_that_cannot_be_read_is_no_reason_to_give_up_the_other_directory() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(THREE).await;
        make_topics(&mut broker.client).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a d", "/b: b", "/c: c"]);
        machine.disk.fail_all(Operation::Read, "/b/b-0", ErrorKind::NotFound);
        machine.disk.fail_all(Operation::Names, "/b/b-0", ErrorKind::ReadOnlyFilesystem);
        assert_eq!(ask_move(&mut broker.client, "b", "/c").await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_secs(20)).await;
        assert_eq!(errors(&mut broker.client).await, [ErrorCode::None; 3]);
        assert_eq!(broker.client.produce("c", 1000).await, ErrorCode::None);
        machine.disk.mend();
        until_moved(&mut broker, &["/data: a d", "/b: ", "/c: b c"]).await;
    });
}

#[test]
fn nothing_is_moved_into_a_directory_that_has_failed_meanwhile() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(THREE).await;
        let rt = broker.process.rt();
        let count = make_large(&mut broker.client, "a", 6 << 20).await;
        make_large(&mut broker.client, "x", 1 << 20).await;
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
        assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        rt.sleep(Duration::from_secs(3)).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: +a x", "/c: "]);
        // Of the copy nothing fails.
        machine.disk.fail_all(Operation::Write, "/b/x-0", ErrorKind::ReadOnlyFilesystem);
        assert_eq!(broker.client.produce("x", 1000).await, ErrorCode::KafkaStorageError);
        rt.sleep(Duration::from_secs(60)).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, count));
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert!(names(&machine, "/data").contains(&"a-0".to_owned()));
        assert_eq!(leader(&mut broker.client, "a").await, (1, vec![]));
        machine.stop(broker).await.unwrap();
        machine.disk.mend();

        // It was not called off.
        let mut broker = machine.start_set_up(THREE).await;
        broker.process.rt().sleep(Duration::from_secs(10)).await;
        until_moved(&mut broker, &["/data: ", "/b: a x", "/c: "]).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, count + 1));
    });
}

#[test]
fn a_log_with_a_damaged_offset_stays_where_it_is() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        for _ in 0..3 {
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        }
        let path = "/data/a-0/00000000000000000000.log";
        let bytes = log(&machine, path).len() as u64;
        // That of the second batch: a bit has flipped.
        let file = machine.disk.open(Path::new(path), Open::Write).unwrap();
        file.write_vectored_at(&[IoSlice::new(&(1_i64 << 20 | 1).to_be_bytes())], bytes / 4).unwrap();
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a c", "/b: b d"]).await;
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(names(&machine, "/b"), ["b-0", "d-0"]);
        // The others are moved yet.
        assert_eq!(ask_move(&mut broker.client, "c", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a", "/b: b c d"]).await;
    });
}

#[test]
fn a_move_that_cannot_begin_leaves_nothing_behind() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        machine.disk.fail_next(Operation::Write, "-future/partition.metadata", ErrorKind::StorageFull);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::KafkaStorageError);
        assert_eq!(names(&machine, "/b"), ["b-0", "d-0"]);
        machine.disk.fail_next(Operation::Open, "-future/0000", ErrorKind::StorageFull);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a c", "/b: b d"]).await;
        broker.process.rt().sleep(Duration::from_secs(1)).await;
        assert_eq!(names(&machine, "/b"), ["b-0", "d-0"]);
    });
}

/// Lets operations fail that change names, from the given one on.
#[derive(Debug)]
struct Failing {
    disk: FaultyDisk,
    count: AtomicU64,
    first: AtomicU64,
    error: ErrorKind,
    how_many: u64,
}

impl Watch for Failing {
    fn before(&self, operation: Operation) {
        if operation == Operation::Names {
            let (nth, first) = (self.count.fetch_add(1, Ordering::Relaxed), self.first.load(Ordering::Relaxed));
            if nth.checked_sub(first).is_some_and(|after| after < self.how_many) {
                self.disk.fail_next(Operation::Names, "", self.error);
            }
        }
    }
}

impl Failing {
    /// A machine whose broker fails so in the `nth` change of names that there is, and the broker.
    async fn start(machine: &Machine, error: ErrorKind, how_many: u64) -> (Arc<Failing>, Broker) {
        let (count, first) = (AtomicU64::new(0), AtomicU64::new(u64::MAX));
        let failing = Arc::new(Failing { disk: machine.disk.clone(), count, first, error, how_many });
        let disk = Arc::new(WatchedDisk::new(machine.disk.clone(), failing.clone()));
        let mut broker = machine.start_set_up_on(disk, THREE).await;
        make_topics(&mut broker.client).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a d", "/b: b", "/c: c"]);
        (failing, broker)
    }

    fn fail_after(&self, nth: u64) {
        self.first.store(self.count.load(Ordering::Relaxed) + nth, Ordering::Relaxed);
    }
}

#[test]
fn whatever_fails_of_a_move_the_replica_is_served() {
    let mut nth = 0;
    loop {
        let machine = Machine::new();
        let is_over = machine.world.block_on(async {
            let (failing, mut broker) = Failing::start(&machine, ErrorKind::ReadOnlyFilesystem, 1).await;
            let before = failing.count.load(Ordering::Relaxed);
            failing.fail_after(nth);
            ask_move(&mut broker.client, "b", "/c").await;
            broker.process.rt().sleep(Duration::from_secs(20)).await;
            assert_eq!(broker.client.produce("b", 1000).await, ErrorCode::None, "{nth}");
            assert_eq!(leader(&mut broker.client, "b").await, (1, vec![]), "{nth}");
            failing.count.load(Ordering::Relaxed) <= before + nth
        });
        if is_over {
            break;
        }
        nth += 1;
    }
    assert!(nth > 8, "{nth}");
}

#[test]
fn a_topic_that_is_deleted_when_its_replica_is_stuck_is_gone() {
    let mut stuck = 0;
    // What is left of a request that was refused goes with the next start.
    for nth in 3..40 {
        let machine = Machine::new();
        machine.world.block_on(async {
            let (failing, mut broker) = Failing::start(&machine, ErrorKind::Other, 2).await;
            failing.fail_after(nth);
            ask_move(&mut broker.client, "b", "/c").await;
            broker.process.rt().sleep(Duration::from_secs(20)).await;
            stuck += u32::from(broker.client.produce("b", 1000).await != ErrorCode::None);
            failing.fail_after(u64::MAX >> 1);
            // Nor is one that is stuck moved elsewhere.
            ask_move(&mut broker.client, "b", "/data").await;
            assert_eq!(broker.client.delete("b", 1000).await, ErrorCode::None);
            broker.process.rt().sleep(Duration::from_secs(90)).await;
            for dir in ["/data", "/b", "/c"] {
                let left = names(&machine, dir);
                assert!(left.iter().all(|name| !name.starts_with("b-0")), "{nth} {dir} {left:?}");
            }
        });
    }
    assert!(stuck > 0);
}

#[test]
fn the_metadata_are_told_where_a_replica_is_when_they_can_be() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(THREE).await;
        let rt = broker.process.rt();
        make_topics(&mut broker.client).await;
        machine.disk.fail_all(Operation::Write, "/data/__cluster_metadata-0", ErrorKind::Other);
        assert_eq!(ask_move(&mut broker.client, "b", "/c").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a d", "/b: ", "/c: b c"]).await;
        rt.sleep(Duration::from_secs(20)).await;
        machine.disk.mend();
        rt.sleep(Duration::from_secs(20)).await;
        // What is there fails: that is not the replica's directory any more.
        assert_eq!(ask_move(&mut broker.client, "c", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a d", "/b: c", "/c: b"]).await;
        machine.disk.fail_all(Operation::Write, "/b/", ErrorKind::ReadOnlyFilesystem);
        assert_eq!(broker.client.produce("c", 1000).await, ErrorCode::KafkaStorageError);
        rt.sleep(Duration::from_secs(5)).await;
        assert_eq!(broker.client.produce("b", 1000).await, ErrorCode::None);
        assert_eq!(leader(&mut broker.client, "b").await, (1, vec![]));
    });
}

#[test]
fn a_bug_that_ends_a_move_ends_nothing_else() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let bug = Bug::of(Operation::Write);
        let disk = Arc::new(WatchedDisk::new(machine.disk.clone(), bug.clone()));
        let mut broker = machine.start_set_up_on(disk, THREE).await;
        let rt = broker.process.rt();
        make_large(&mut broker.client, "a", 12 << 20).await;
        make_large(&mut broker.client, "x", 1 << 20).await;
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
        assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        rt.sleep(Duration::from_secs(2)).await;
        bug.strike();
        rt.sleep(Duration::from_secs(5)).await;
        bug.go();
        assert!(rt.timeout(Duration::from_secs(90), broker.running.failed()).await.is_none());
        assert_eq!(errors(&mut broker.client).await, [ErrorCode::None; 3]);
        assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(names(&machine, "/b"), ["x-0"]);
        assert_eq!(ask_move(&mut broker.client, "x", "/c").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a", "/b: ", "/c: x"]).await;
    });
}
