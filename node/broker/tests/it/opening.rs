//! What is made of a directory at the start: nothing is taken for new that is not, nothing is cut that was safe, and what is
//! refused is left as it was.

use std::io::ErrorKind;
use std::path::Path;

use ottla_storage::disk::{Disk, Operation};
use ottla_wire::ErrorCode;

use crate::support::*;

const LOG: &str = "__cluster_metadata-0/00000000000000000000.log";

/// A directory in which three topics were made, cleanly closed.
async fn used(machine: &Machine) {
    let mut broker = machine.start().await;
    for topic in ["t0", "t1", "t2"] {
        assert_eq!(broker.client.create(topic, &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce(topic, 1000).await, ErrorCode::None);
    }
    assert!(machine.stop(broker).await.is_ok());
}

/// Spoils a directory that was used; it must be refused with these words, and stay as it is.
fn check_refused(spoil: impl Fn(&Machine), words: &[&str]) {
    let machine = Machine::new();
    machine.world.block_on(async {
        used(&machine).await;
        spoil(&machine);
        let before = machine.files();
        let refusal = machine.refusal().await;
        assert!(words.iter().all(|word| refusal.contains(word)), "{refusal}");
        assert!(machine.files() == before, "it was changed");
    });
}

fn position_of(bytes: &[u8], part: &[u8]) -> usize {
    bytes.windows(part.len()).position(|window| window == part).unwrap()
}

#[test]
fn damage_to_what_was_synced_is_refused() {
    let flip = |machine: &Machine, at: usize| {
        let mut bytes = machine.read(LOG);
        bytes[at] ^= 1;
        machine.write(LOG, &bytes);
    };
    let name = |machine: &Machine, topic: &[u8]| position_of(&machine.read(LOG), topic);
    let words = [&format!("{DATA}/__cluster_metadata-0"), "offset", "damaged", "Nothing was changed"];
    for topic in [b"t0", b"t1", b"t2"] {
        check_refused(|machine| flip(machine, name(machine, topic)), &words);
    }
    // A length, so that nothing behind it is found.
    check_refused(|machine| flip(machine, 8), &words);
    check_refused(|machine| flip(machine, machine.read(LOG).len() - 3), &words);
    check_refused(|machine| machine.write(LOG, &machine.read(LOG)[..500]), &words);
}

#[test]
fn a_torn_tail_is_cut() {
    let machine = Machine::new();
    machine.world.block_on(async {
        used(&machine).await;
        let mut bytes = machine.read(LOG);
        bytes.extend_from_slice(&bytes.clone()[..100]);
        machine.write(LOG, &bytes);
        assert_eq!(machine.start().await.client.topics().await, ["t0", "t1", "t2"]);
    });
}

#[test]
fn a_log_that_is_gone_is_not_begun_anew() {
    let words = [LOG, "no records", "quorum-state", "Nothing was changed"];
    check_refused(|machine| machine.remove(LOG), &words);
    check_refused(|machine| machine.write(LOG, b""), &words);
    let without_quorum = |machine: &Machine| {
        machine.remove(LOG);
        machine.remove("__cluster_metadata-0/quorum-state");
    };
    check_refused(without_quorum, &[LOG, "no records", "t0-0"]);
    check_refused(|machine| machine.remove("meta.properties"), &["meta.properties", LOG]);
}

#[test]
fn snapshots_that_say_more_than_the_log_are_refused() {
    let snapshot = "__cluster_metadata-0/00000000000000000500-0000000001.checkpoint";
    check_refused(|machine| machine.write(snapshot, b"x"), &[LOG, "500"]);
    let instead = |machine: &Machine| {
        machine.remove(LOG);
        machine.write(snapshot, b"x");
    };
    check_refused(instead, &[LOG, "no records", snapshot]);
}

#[test]
fn a_log_of_levels_that_are_not_known_is_left_alone() {
    let machine = Machine::new();
    machine.world.block_on(async {
        used(&machine).await;
        // The recovery point would have it for damaged: somebody else wrote it.
        machine.write("recovery-point-offset-checkpoint", b"0\n0\n");
        let mut bytes = machine.read(LOG);
        let at = position_of(&bytes, b"metadata.version") + "metadata.version".len();
        let batch = (0..at).rev().find(|start| batch_at(&bytes[*start..])).unwrap();
        bytes[at + 1] += 1;
        let size = 12 + u32::from_be_bytes(bytes[batch + 8..batch + 12].try_into().unwrap()) as usize;
        let crc = ottla_records::crc_of(&bytes[batch..batch + size]);
        bytes[batch + 17..batch + 21].copy_from_slice(&crc.to_be_bytes());
        machine.write(LOG, &bytes);
        let before = machine.files();
        let refusal = machine.refusal().await;
        assert!(refusal.contains("metadata.version"), "{refusal}");
        assert!(machine.files() == before, "it was changed");
    });
}

fn batch_at(bytes: &[u8]) -> bool {
    ottla_records::BatchHeader::parse(bytes).is_ok_and(|header| {
        bytes.get(..header.size_bytes()).is_some_and(|batch| ottla_records::crc_of(batch) == header.crc)
    })
}

/// The usual mistake: the same directory and the same address.
#[test]
fn a_second_start_says_who_holds_the_directory() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let _broker = machine.start().await;
        let refusal = machine.refusal().await;
        assert!(refusal.contains("/data/.lock is locked by process"), "{refusal}");
    });
}

#[test]
fn the_cause_of_an_error_is_told_once() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let _broker = machine.start().await;
        // The same address, and a directory of its own.
        let disk = std::sync::Arc::new(ottla_storage::disk::FaultyDisk::new(8));
        let error = match machine.start_on(disk).await {
            Ok(_) => panic!("it starts"),
            Err(error) => error,
        };
        let text = error.to_string();
        assert!(text.starts_with("cannot listen on PLAINTEXT://127.0.0.1:9092: "), "{text}");
        assert!(std::error::Error::source(&error).is_none(), "whoever tells the chain tells it again");
    });
}

/// Wherever a first start ends, by whichever end, the next one goes on.
#[test]
fn a_first_start_may_end_anywhere() {
    for operation in 1..120 {
        for is_power_loss in [false, true] {
            let machine = Machine::new();
            machine.world.block_on(async {
                for _ in 0..2 {
                    machine.disk.stop_at(machine.disk.operations() + operation);
                    if let Ok(broker) = machine.start_on(std::sync::Arc::new(machine.disk.clone())).await {
                        machine.crash(broker).await;
                    }
                    if is_power_loss { machine.disk.power_loss() } else { machine.disk.kill() }
                }
                let mut broker = machine.start().await;
                assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
                machine.crash(broker).await;
            });
        }
    }
}

#[test]
fn directories_of_no_topic_are_set_aside() {
    let machine = Machine::new();
    machine.world.block_on(async {
        used(&machine).await;
        let (id, log) = (machine.read("t1-0/partition.metadata"), machine.read("t1-0/00000000000000000000.log"));
        let mut broker = machine.start().await;
        assert_eq!(broker.client.delete("t1", 1000).await, ErrorCode::None);
        assert!(machine.stop(broker).await.is_ok());
        // As if the process had ended before it renamed the directory.
        let others = ["t1-0", "t0-1", "mine-1"];
        for dir in others {
            machine.disk.create_dir(&Path::new(DATA).join(dir)).unwrap();
        }
        for dir in &others[..2] {
            machine.write(&format!("{dir}/partition.metadata"), &id);
            machine.write(&format!("{dir}/00000000000000000000.log"), &log);
        }
        machine.write("mine-1/notes", b"not ours");
        let mut broker = machine.start().await;
        let names = machine.list("");
        for dir in &others[..2] {
            let strays = names.iter().filter(|name| name.starts_with(&format!("{dir}.")) && name.ends_with("-stray"));
            assert!(strays.count() == 1 && !names.iter().any(|name| name == dir), "{names:?}");
        }
        assert!(names.contains(&"mine-1".to_owned()) && names.contains(&"t0-0".to_owned()), "{names:?}");
        assert_eq!(broker.client.topics().await, ["t0", "t2"]);
        assert_eq!(broker.client.produce("t0", 1000).await, ErrorCode::None);
    });
}

#[test]
fn partitions_that_could_not_be_opened_are_deleted_with_their_topic() {
    let machine = Machine::new();
    machine.world.block_on(async {
        used(&machine).await;
        machine.disk.fail_next(Operation::Open, "t1-0/00000000000000000000.log", ErrorKind::Other);
        let mut broker = machine.start().await;
        assert_eq!(broker.client.produce("t1", 1000).await, ErrorCode::KafkaStorageError);
        assert_eq!(broker.client.delete("t1", 1000).await, ErrorCode::None);
        let names = machine.list("");
        assert!(names.iter().any(|name| name.starts_with("t1-0.") && name.ends_with("-delete")), "{names:?}");
        assert!(!names.contains(&"t1-0".to_owned()), "{names:?}");
    });
}
