//! Replicas that move from one log directory to another.

use std::io::IoSlice;
use std::path::Path;
use std::time::Duration;

use ottla_records::NewRecord;
use ottla_rt::Stalls;
use ottla_storage::disk::{Disk, Open};
use ottla_wire::ErrorCode;

use crate::directories::*;
use crate::support::*;

#[test]
fn a_replica_is_moved_while_it_is_served() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        let client = &mut broker.client;
        assert_eq!(ask_move(client, "a", "/elsewhere").await, ErrorCode::LogDirNotFound);
        assert_eq!(ask_move(client, "z", "/b").await, ErrorCode::UnknownTopicOrPartition);
        assert_eq!(ask_move(client, "a", "/data").await, ErrorCode::None, "it is there");
        let before = log(&machine, "/data/a-0/00000000000000000000.log");
        assert_eq!(ask_move(client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
        let client = &mut broker.client;
        assert_eq!(log(&machine, "/b/a-0/00000000000000000000.log"), before);
        assert_eq!(offset(client, "a", LATEST).await, (ErrorCode::None, 1));
        assert_eq!(client.produce("a", 1000).await, ErrorCode::None);
        assert_eq!(leader(client, "a").await, (1, vec![]));
        assert!(names(&machine, "/data").iter().all(|name| name != "a-0"));
        machine.crash(broker).await;
        machine.disk.power_loss();

        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: c", "/b: a b d"]);
        assert!(offset(&mut broker.client, "a", LATEST).await.1 >= 1);
        // Back again, with nothing left behind.
        assert_eq!(ask_move(&mut broker.client, "a", "/data").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: a c", "/b: b d"]).await;
        machine.stop(broker).await.unwrap();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: b d"]);
    });
}

#[test]
fn a_move_that_a_crash_cuts_short_loses_nothing_and_is_finished() {
    /// What happens at the operation at which the process stops.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Crash {
        Kill,
        PowerLoss,
    }
    let run = |stop_at: Option<(u64, Crash)>| {
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start_set_up(TWO).await;
            // What is acknowledged is on the disk.
            assert_eq!(broker.client.create("a", &[("flush.messages", "1")]).await, ErrorCode::None);
            for topic in ["b", "c", "d"] {
                assert_eq!(broker.client.create(topic, &[]).await, ErrorCode::None);
            }
            for _ in 0..5 {
                assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
            }
            let deleted = delete_to(&mut broker.client, "a", 2).await;
            assert_eq!(deleted, ErrorCode::None);
            let began = machine.disk.operations();
            if let Some((after, _)) = stop_at {
                machine.disk.stop_at(began + after);
            }
            let asked = ask_move(&mut broker.client, "a", "/b").await;
            let rt = broker.process.rt();
            // Files that are to be removed are, too.
            rt.sleep(Duration::from_secs(90)).await;
            let took = machine.disk.operations() - began;
            machine.crash(broker).await;
            if stop_at.is_some_and(|(_, crash)| crash == Crash::PowerLoss) {
                machine.disk.power_loss();
            }

            let mut broker = machine.start_set_up(TWO).await;
            assert_eq!(offset(&mut broker.client, "a", EARLIEST).await, (ErrorCode::None, 2), "{stop_at:?}");
            assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 5), "{stop_at:?}");
            if asked == ErrorCode::None && stop_at.is_none_or(|(_, crash)| crash == Crash::Kill) {
                until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
            } else {
                // As in Kafka, nobody waits for the disk to be told; and what was told is forgotten as a whole.
                broker.process.rt().sleep(Duration::from_secs(20)).await;
                assert!(homes(&mut broker.client).await.iter().all(|home| !home.contains('+')), "{stop_at:?}");
            }
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
            assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 6), "{stop_at:?}");
            machine.stop(broker).await.unwrap();
            let mut broker = machine.start_set_up(TWO).await;
            assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 6), "{stop_at:?}");
            assert!(
                names(&machine, "/data").iter().chain(&names(&machine, "/b")).all(|name| !name.ends_with("-future"))
            );
            took
        })
    };
    let operations = run(None);
    assert!(operations > 20, "{operations}");
    for stop_at in 0..operations.min(150) {
        run(Some((stop_at, Crash::Kill)));
        run(Some((stop_at, Crash::PowerLoss)));
    }
}

/// Three directories: the metadata log is in the first, which nothing gives up.
pub const THREE: &[(&str, &str)] = &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("log.dirs", "/data,/b,/c")];

/// A topic of many segments, `bytes` in all. What is copied of a segment at last is little.
pub async fn make_large(client: &mut Client, topic: &str, bytes: usize) -> i64 {
    let configs = [("segment.bytes", "1400000"), ("file.delete.delay.ms", "1000")];
    assert_eq!(client.create(topic, &configs).await, ErrorCode::None);
    let value = vec![7; 200_000];
    let record = NewRecord { timestamp: 1_767_225_600_000, value: Some(&value), ..NewRecord::default() };
    let count = bytes / value.len();
    for _ in 0..count {
        assert_eq!(client.send(topic, &record, 1000).await, ErrorCode::None);
    }
    count as i64
}

#[test]
fn a_log_of_many_segments_is_copied_while_it_is_served() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        let rt = broker.process.rt();
        let count = make_large(&mut broker.client, "a", 12 << 20).await;
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
        assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        // It takes some ten seconds, and is served all the while.
        for sent in 1..=9 {
            rt.sleep(Duration::from_secs(1)).await;
            assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: +a"], "{sent}");
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None, "{sent}");
        }
        until_moved(&mut broker, &["/data: ", "/b: a"]).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, count + 9));
        machine.crash(broker).await;
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, count + 9));
    });
}

#[test]
fn a_move_that_is_called_off_leaves_nothing_behind() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        let rt = broker.process.rt();
        make_large(&mut broker.client, "a", 12 << 20).await;
        make_large(&mut broker.client, "x", 1 << 20).await;
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
        assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
        for called_off in ["moved back", "deleted"] {
            assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
            rt.sleep(Duration::from_secs(5)).await;
            assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: +a x"], "{called_off}");
            match called_off {
                "deleted" => assert_eq!(broker.client.delete("a", 1000).await, ErrorCode::None),
                _ => assert_eq!(ask_move(&mut broker.client, "a", "/data").await, ErrorCode::None),
            }
            // What was dirty of it would have been flushed by now.
            rt.sleep(Duration::from_secs(90)).await;
            assert_eq!(errors(&mut broker.client).await, [ErrorCode::None, ErrorCode::None], "{called_off}");
            assert_eq!(names(&machine, "/b"), ["x-0"], "{called_off}");
            assert_eq!(broker.client.produce("x", 1000).await, ErrorCode::None, "{called_off}");
        }
        assert_eq!(homes(&mut broker.client).await, ["/data: ", "/b: x"]);
    });
}

#[test]
fn a_directory_that_is_too_small_is_not_filled() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_large(&mut broker.client, "a", 6 << 20).await;
        make_large(&mut broker.client, "x", 1 << 20).await;
        let used = u64::MAX - {
            machine.disk.set_capacity(Some(u64::MAX));
            machine.disk.free_bytes(Path::new("/")).unwrap()
        };
        machine.disk.set_capacity(Some(used + (12 << 20)));
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_secs(5)).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: x"], "it is given up");
        assert_eq!(broker.client.produce("x", 1000).await, ErrorCode::None);
    });
}

#[test]
fn the_room_of_a_directory_is_for_all_that_is_moved_there() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        let rt = broker.process.rt();
        make_large(&mut broker.client, "a", 12 << 20).await;
        make_large(&mut broker.client, "x", 1 << 20).await;
        make_large(&mut broker.client, "c", 12 << 20).await;
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: x"]);
        let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
        assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
        let used = u64::MAX - {
            machine.disk.set_capacity(Some(u64::MAX));
            machine.disk.free_bytes(Path::new("/")).unwrap()
        };
        machine.disk.set_capacity(Some(used + (12 << 20) + (13 << 20)));
        for topic in ["a", "c"] {
            assert_eq!(ask_move(&mut broker.client, topic, "/b").await, ErrorCode::None);
        }
        rt.sleep(Duration::from_secs(2)).await;
        let here = homes(&mut broker.client).await;
        assert!(here == ["/data: a c", "/b: +a x"] || here == ["/data: a c", "/b: +c x"], "{here:?}");
        assert_eq!(names(&machine, "/b").iter().filter(|name| name.ends_with("-future")).count(), 1);
        rt.sleep(Duration::from_secs(60)).await;
        assert_eq!(broker.client.produce("x", 1000).await, ErrorCode::None);
    });
}

/// All files of one replica's directory, in another one.
pub fn copy_replica(machine: &Machine, from: &str, to: &str) {
    machine.disk.create_dir(Path::new(to)).unwrap();
    for entry in machine.disk.list(Path::new(from)).unwrap() {
        let bytes = log(machine, &format!("{from}/{}", entry.name));
        let file = machine.disk.open(&Path::new(to).join(&entry.name), Open::Create).unwrap();
        if !bytes.is_empty() {
            assert_eq!(file.write_vectored_at(&[IoSlice::new(&bytes)], 0).unwrap(), bytes.len());
        }
    }
}

#[test]
fn of_two_replicas_the_longer_one_is_served_and_the_other_is_kept() {
    for longer_is_copy in [false, true] {
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start_set_up(TWO).await;
            make_topics(&mut broker.client).await;
            machine.stop(broker).await.unwrap();
            copy_replica(&machine, "/data/a-0", "/b/kept");
            let mut broker = machine.start_set_up(TWO).await;
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
            machine.stop(broker).await.unwrap();
            if longer_is_copy {
                copy_replica(&machine, "/data/a-0", "/b/a-0");
                for entry in machine.disk.list(Path::new("/data/a-0")).unwrap() {
                    machine.disk.remove_file(&Path::new("/data/a-0").join(&entry.name)).unwrap();
                }
                machine.disk.remove_dir(Path::new("/data/a-0")).unwrap();
                copy_replica(&machine, "/b/kept", "/data/a-0");
            } else {
                machine.disk.rename(Path::new("/b/kept"), Path::new("/b/a-0")).unwrap();
            }
            let mut broker = machine.start_set_up(TWO).await;
            assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 2), "{longer_is_copy}");
            let other = if longer_is_copy { "/data" } else { "/b" };
            assert!(names(&machine, other).iter().any(|name| name.starts_with("a-0.") && name.ends_with("-stray")));
        });
    }
}

#[test]
fn an_empty_log_that_was_moved_goes_on_where_it_ended() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(broker.client.create("a", &[("segment.ms", "10")]).await, ErrorCode::None);
        for _ in 0..3 {
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
        }
        assert_eq!(delete_to(&mut broker.client, "a", -1).await, ErrorCode::None);
        assert_eq!(broker.client.configure((2, "a"), ("retention.ms", "1")).await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_secs(400)).await;
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: ", "/b: a"]).await;
        machine.crash(broker).await;
        machine.disk.power_loss();
        let mut broker = machine.start_set_up(TWO).await;
        assert_eq!(offset(&mut broker.client, "a", EARLIEST).await, (ErrorCode::None, 3));
        assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, 3));
    });
}

#[test]
fn a_topic_that_is_deleted_while_it_moves_is_gone() {
    for seed_ms in 0..40 {
        let machine = Machine::new();
        machine.world.block_on(async {
            let stalls = Stalls { per_mille: 1000, ms_max: 50 };
            let mut broker = machine.start_slowly(TWO, stalls).await;
            assert_eq!(broker.client.create("a", &[("file.delete.delay.ms", "10")]).await, ErrorCode::None);
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
            assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
            broker.process.rt().sleep(Duration::from_millis(seed_ms * 10)).await;
            assert_eq!(broker.client.delete("a", 5000).await, ErrorCode::None);
            broker.process.rt().sleep(Duration::from_secs(90)).await;
            for dir in ["/data", "/b"] {
                let left: Vec<_> = names(&machine, dir).into_iter().filter(|name| name.starts_with("a-0")).collect();
                assert_eq!(left, [""; 0], "{seed_ms} {dir}");
            }
            assert_eq!(errors(&mut broker.client).await, [ErrorCode::None; 2]);
        });
    }
}

#[test]
fn a_move_goes_on_with_the_next_start_unless_it_was_called_off() {
    for (is_clean, is_called_off) in [(true, false), (false, false), (true, true)] {
        let machine = Machine::new();
        machine.world.block_on(async {
            let mut broker = machine.start_set_up(TWO).await;
            let rt = broker.process.rt();
            let count = make_large(&mut broker.client, "a", 12 << 20).await;
            let rate = ("replica.alter.log.dirs.io.max.bytes.per.second", "1000000");
            assert_eq!(broker.client.configure((BROKER, "1"), rate).await, ErrorCode::None);
            assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
            rt.sleep(Duration::from_secs(3)).await;
            assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: +a"]);
            if is_called_off {
                assert_eq!(ask_move(&mut broker.client, "a", "/data").await, ErrorCode::None);
            }
            match is_clean {
                true => machine.stop(broker).await.unwrap(),
                false => machine.crash(broker).await,
            }
            let mut broker = machine.start_set_up(TWO).await;
            if is_called_off {
                broker.process.rt().sleep(Duration::from_secs(30)).await;
                assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: "]);
            } else {
                assert_eq!(homes(&mut broker.client).await, ["/data: a", "/b: +a"], "{is_clean}");
                broker.process.rt().sleep(Duration::from_secs(10)).await;
                until_moved(&mut broker, &["/data: ", "/b: a"]).await;
            }
            assert_eq!(offset(&mut broker.client, "a", LATEST).await, (ErrorCode::None, count));
            assert!(names(&machine, "/b").iter().all(|name| !name.ends_with("-future")));
        });
    }
}

#[test]
fn where_a_replica_is_asked_to_last_it_ends() {
    for (last, expected) in [("/c", ["/data: d", "/b: b", "/c: a c"]), ("/data", ["/data: a d", "/b: b", "/c: c"])] {
        let mut asked = 0;
        for seed_ms in 0..60 {
            let machine = Machine::new();
            machine.world.block_on(async {
                let mut broker = machine.start_slowly(THREE, Stalls { per_mille: 1000, ms_max: 50 }).await;
                make_topics(&mut broker.client).await;
                assert_eq!(homes(&mut broker.client).await, ["/data: a d", "/b: b", "/c: c"]);
                assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
                broker.process.rt().sleep(Duration::from_millis(seed_ms * 5)).await;
                if ask_move(&mut broker.client, "a", last).await != ErrorCode::None {
                    // It is open nowhere at this moment, and clients ask again.
                    return;
                }
                asked += 1;
                broker.process.rt().sleep(Duration::from_secs(90)).await;
                assert_eq!(homes(&mut broker.client).await, expected, "{seed_ms}");
                assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None, "{seed_ms}");
                for dir in ["/data", "/b", "/c"] {
                    let left = names(&machine, dir);
                    assert!(left.iter().all(|name| !name.ends_with("-future")), "{seed_ms} {dir} {left:?}");
                }
            });
        }
        assert!(asked > 30, "{asked}");
    }
}

#[test]
fn where_something_has_its_name_a_replica_goes_after_the_next_start() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(TWO).await;
        make_topics(&mut broker.client).await;
        copy_replica(&machine, "/data/c-0", "/b/a-0");
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        // It is served all the while.
        for _ in 0..100 {
            assert_eq!(broker.client.produce("a", 1000).await, ErrorCode::None);
            broker.process.rt().sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(homes(&mut broker.client).await, ["/data: a c", "/b: b d"]);
        machine.stop(broker).await.unwrap();
        let mut broker = machine.start_set_up(TWO).await;
        assert!(names(&machine, "/b").iter().any(|name| name.starts_with("a-0.") && name.ends_with("-stray")));
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
    });
}
