//! A disk whose syncs fail: what is refused, what goes on, and that all is well again when the disk is.

use std::io::ErrorKind;
use std::time::Duration;

use ottla_rt::Stalls;
use ottla_storage::disk::Operation;
use ottla_wire::ErrorCode;

use crate::support::*;

const METADATA: &str = "__cluster_metadata-0/0";
const SYNCED: &[(&str, &str)] = &[("flush.messages", "1")];
/// Long after the flusher's pace, and after that at which it tries again.
const LONG: Duration = Duration::from_secs(40);
const SOON: Duration = Duration::from_secs(2);

#[test]
fn a_partition_that_cannot_be_synced_refuses_until_it_can() {
    for (topic, configs) in [("synced", SYNCED), ("cached", &[])] {
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start().await;
            let rt = broker.process.rt();
            let client = &mut broker.client;
            assert_eq!(client.create(topic, configs).await, ErrorCode::None);
            assert_eq!(client.create("other", SYNCED).await, ErrorCode::None);
            assert_eq!(client.produce(topic, 1000).await, ErrorCode::None);

            machine.disk.fail_all(Operation::Sync, &format!("{topic}-0/"), ErrorKind::Other);
            let began_ms = rt.now().mono_ms;
            if configs.is_empty() {
                assert_eq!(client.produce(topic, 1000).await, ErrorCode::None, "nobody has tried to sync it");
                rt.sleep(LONG).await;
            } else {
                assert_eq!(client.produce(topic, 60_000).await, ErrorCode::KafkaStorageError);
                assert!(rt.now().mono_ms - began_ms < 1000, "it is not told when it is known");
            }
            for _ in 0..3 {
                assert_eq!(client.produce(topic, 1000).await, ErrorCode::KafkaStorageError);
                assert_eq!(client.produce("other", 1000).await, ErrorCode::None);
                rt.sleep(SOON).await;
            }
            machine.disk.mend();
            rt.sleep(SOON).await;
            assert_eq!(client.produce(topic, 1000).await, ErrorCode::None);
            assert!(machine.stop(broker).await.is_ok());
        });
    }
}

#[test]
fn while_the_metadata_log_cannot_be_synced_no_change_is_accepted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        let mut late = machine.connect().await;
        let client = &mut broker.client;
        assert_eq!(client.create("before", &[]).await, ErrorCode::None);

        machine.disk.fail_all(Operation::Sync, METADATA, ErrorKind::Other);
        let began_ms = rt.now().mono_ms;
        assert_eq!(late.create_within("late", &[], 3000).await, ErrorCode::RequestTimedOut);
        assert!((2900..3500).contains(&(rt.now().mono_ms - began_ms)), "it waits for its own time");
        assert_eq!(client.create("refused", &[]).await, ErrorCode::KafkaStorageError);
        assert_eq!(client.delete("before", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(client.producer_id().await, ErrorCode::CoordinatorLoadInProgress);
        assert_eq!(client.produce("before", 1000).await, ErrorCode::None);

        machine.disk.mend();
        rt.sleep(SOON).await;
        assert_eq!(client.topics().await, ["before", "late"], "what was refused does not come, what was late may");
        assert_eq!(client.create("late", &[]).await, ErrorCode::TopicAlreadyExists);
        assert_eq!(client.delete("late", 1000).await, ErrorCode::None);
        assert_eq!(client.producer_id().await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn who_does_not_wait_is_told_at_once_that_it_is_late_and_nothing_is_done() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        broker.process.set_stalls(Stalls { per_mille: 1000, ms_max: 200 });
        assert_eq!(broker.client.create_within("t", &[], 0).await, ErrorCode::RequestTimedOut);
        broker.process.rt().sleep(SOON).await;
        assert_eq!(broker.client.topics().await, [""; 0]);
    });
}

#[test]
fn an_append_that_fails_does_not_fail_those_before_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        let mut first = machine.connect().await;
        broker.process.set_stalls(Stalls { per_mille: 1000, ms_max: 4000 });
        let first =
            rt.spawn(ottla_rt::Lane::Data, "first", async move { first.create_within("first", &[], 60_000).await });
        rt.sleep(Duration::from_millis(100)).await;
        machine.disk.fail_next(Operation::Write, METADATA, ErrorKind::Other);
        assert_eq!(broker.client.create("second", &[]).await, ErrorCode::KafkaStorageError);
        assert_eq!(first.await, Ok(ErrorCode::None));
        broker.process.set_stalls(Stalls::default());
        rt.sleep(Duration::from_secs(10)).await;
        assert_eq!(broker.client.create("third", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.topics().await, ["first", "third"]);
    });
}

const RESERVE: &str = "ottla.reserve";

/// What was kept for the time when the disk is full goes to the metadata log.
#[test]
fn a_full_disk_takes_commands_yet() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        rt.sleep(SOON).await;
        assert!(machine.list("").contains(&RESERVE.to_owned()));
        machine.fill_disk();
        machine.disk.fail_next(Operation::Write, METADATA, ErrorKind::StorageFull);
        assert_eq!(broker.client.delete("t", 1000).await, ErrorCode::None);
        assert!(!machine.list("").contains(&RESERVE.to_owned()));
        assert_eq!(broker.client.topics().await, [""; 0]);
        machine.disk.set_capacity(None);
        rt.sleep(SOON).await;
        assert!(machine.list("").contains(&RESERVE.to_owned()));
    });
}

#[test]
fn a_metadata_log_without_any_room_is_not_read_again_and_again() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        machine.disk.set_capacity(Some(0));
        machine.disk.fail_all(Operation::Write, METADATA, ErrorKind::StorageFull);
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::KafkaStorageError);
        rt.sleep(LONG).await;
        let before = machine.disk.operations();
        for _ in 0..30 {
            assert_eq!(broker.client.create("t", &[]).await, ErrorCode::KafkaStorageError);
            rt.sleep(SOON).await;
        }
        let operations = machine.disk.operations() - before;
        assert!(operations < 20, "{operations}");
        machine.disk.set_capacity(None);
        machine.disk.mend();
        rt.sleep(Duration::from_secs(6)).await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
    });
}

#[test]
fn a_broker_starts_on_a_full_disk() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        machine.fill_disk();
        let mut broker = machine.start().await;
        assert_eq!(broker.client.delete("t", 1000).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
    });
}

#[test]
fn a_stop_is_not_clean_where_a_log_could_not_be_opened() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        machine.crash(broker).await;
        machine.disk.fail_all(Operation::Read, "t-0/", ErrorKind::Other);
        let mut broker = machine.start().await;
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::KafkaStorageError);
        // Nobody has synced what it holds.
        let error = machine.stop(broker).await.unwrap_err().to_string();
        assert_eq!(error, "1 logs were not open, among them t-0: nobody knows what of them is on the disk");
        assert!(!machine.list("").contains(&".kafka_cleanshutdown".to_owned()));
    });
}

#[test]
fn a_stop_on_a_failing_disk_is_soon_over_and_says_what_is_lost() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        assert_eq!(client.create("a", &[]).await, ErrorCode::None);
        assert_eq!(client.create("b", &[]).await, ErrorCode::None);
        assert_eq!(client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(client.produce("b", 1000).await, ErrorCode::None);
        machine.disk.fail_all(Operation::Sync, METADATA, ErrorKind::Other);
        machine.disk.fail_all(Operation::Sync, "/a-0/", ErrorKind::Other);
        let mut waits = machine.connect().await;
        rt.spawn(ottla_rt::Lane::Data, "waits", async move { waits.create_within("late", &[], 60_000).await });
        rt.sleep(Duration::from_millis(500)).await;

        let began_ms = rt.now().mono_ms;
        let error = machine.stop(broker).await.unwrap_err().to_string();
        assert!(rt.now().mono_ms - began_ms < 2000, "it took {} ms", rt.now().mono_ms - began_ms);
        assert!(
            error.starts_with("2 logs could not be closed, among them a-0, which is on the disk up to offset 0 of 1: ")
        );
        // The other one is closed all the same.
        machine.disk.mend();
        machine.disk.power_loss();
        assert!(machine.list("b-0").contains(&"00000000000000000001.snapshot".to_owned()), "{:?}", machine.list("b-0"));
        assert!(!machine.list("").contains(&".kafka_cleanshutdown".to_owned()));
        machine.crash(machine.start().await).await;
    });
}

#[test]
fn a_stop_syncs_nothing_of_a_partition_to_which_nothing_was_written() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("idle", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.create("used", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("used", 1000).await, ErrorCode::None);
        machine.disk.fail_all(Operation::Sync, "/idle-0/", ErrorKind::Other);
        assert!(machine.stop(broker).await.is_ok());
        machine.disk.fail_all(Operation::Sync, "/used-0/", ErrorKind::Other);
        let broker = machine.start().await;
        assert!(machine.stop(broker).await.is_ok());
        // One to which something was.
        let mut broker = machine.start().await;
        assert_eq!(broker.client.produce("used", 1000).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_err());
    });
}
