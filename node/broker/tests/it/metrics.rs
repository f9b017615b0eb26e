//! What is measured moves when what it measures does.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use ottla_records::{BatchOptions, NewRecord};
use ottla_rt::Stalls;
use ottla_storage::disk::{Disk, Operation};
use ottla_wire::messages::{ApiVersionsRequest, MetadataRequest};
use ottla_wire::{ApiKey, ErrorCode, Form, Message};

use crate::directories::{TWO, ask_move, make_topics, until_moved};
use crate::groups::{commit, find};
use crate::moves::THREE;
use crate::support::*;
use crate::web::{SETTINGS, scrape, value};

const METADATA: &str = "__cluster_metadata-0/";
/// Everything that blocks takes a while.
const SLOW: Stalls = Stalls { per_mille: 1000, ms_max: 100 };

/// A request for what there is not yet of `t`, which waits for so long.
fn vain_fetch(offset: i64, wait_ms: i32) -> Vec<u8> {
    frame(ApiKey::Fetch, FETCH_VERSION, |writer| {
        writer.i32(-1);
        writer.i32(wait_ms);
        writer.i32(1);
        writer.i32(i32::MAX);
        writer.i8(0);
        writer.i32(1);
        writer.str("t", Form::Classic);
        writer.i32(1);
        writer.i32(0);
        writer.i64(offset);
        writer.i32(i32::MAX);
    })
}

fn metadata() -> Vec<u8> {
    let request = MetadataRequest::default();
    frame(ApiKey::Metadata, 12, |writer| request.encode(writer, 12))
}

/// Median and largest quantile of the whole time of such requests, of the local part and of the remote one.
fn times(text: &str, request: &str) -> [[f64; 2]; 3] {
    ["total", "local", "remote"].map(|part| {
        ["0.50", "0.999"].map(|quantile| {
            let labels = format!("{{request=\"{request}\",quantile=\"{quantile}\"}}");
            let sample = format!("kafka_network_requestmetrics_{part}timems{labels}");
            value(text, &sample).unwrap_or_else(|| panic!("{sample}"))
        })
    })
}

fn is_about(found: f64, ms: f64) -> bool {
    (ms * 0.95..ms * 1.05).contains(&found)
}

#[test]
fn the_time_of_a_request_has_parts() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(broker.client.create("t", &[("flush.messages", "1")]).await, ErrorCode::None);
        broker.client.ask_at_once(&[vain_fetch(0, 500)]).await;
        // Who waits for nothing has no remote time.
        broker.client.ask_at_once(&[metadata()]).await;
        let text = scrape(&machine).await;
        let [total, local, remote] = times(&text, "Fetch");
        assert!(is_about(total[0], 500.0) && is_about(remote[0], 500.0) && local[1] == 0.0, "{total:?} {remote:?}");
        assert_eq!(times(&text, "Metadata"), [[0.0; 2]; 3]);
        broker.process.set_stalls(SLOW);
        for _ in 0..20 {
            assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        }
        let text = scrape(&machine).await;
        let [total, local, remote] = times(&text, "Produce");
        assert!(total == remote && (10.0..1_000.0).contains(&remote[0]) && local[1] == 0.0, "{total:?} {remote:?}");
        for part in ["total", "local", "remote"] {
            let count = format!("kafka_network_requestmetrics_{part}timems_count{{request=\"Produce\"}}");
            assert_eq!(value(&text, &count), Some(20.0), "{part}");
        }
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn what_a_request_waits_for_behind_another_is_not_its_local_time() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[("flush.messages", "1")]).await, ErrorCode::None);
        client.ask_at_once(&[vain_fetch(0, 500), vain_fetch(0, 500)]).await;
        let text = scrape(&machine).await;
        let [total, local, remote] = times(&text, "Fetch");
        assert!(total == remote && is_about(total[1], 500.0) && local == [0.0; 2], "{total:?} {local:?} {remote:?}");
        broker.process.set_stalls(SLOW);
        let record = NewRecord { value: Some(b"v"), ..NewRecord::default() };
        client.ask_at_once(&[produce_frame("t", &record), produce_frame("t", &record)]).await;
        broker.process.set_stalls(Stalls::default());
        let text = scrape(&machine).await;
        let [total, local, remote] = times(&text, "Produce");
        assert!(total == remote && total[0] > 1.0 && local == [0.0; 2], "{total:?} {local:?} {remote:?}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn the_time_of_a_request_that_a_connection_takes_after_a_wait_begins_then() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        let record = NewRecord { value: Some(b"v"), ..NewRecord::default() };
        // The first that is not asked beside others waits for the fetch, and the last comes in the same turn.
        client.ask_at_once(&[vain_fetch(1, 500), metadata(), metadata(), produce_frame("t", &record)]).await;
        let text = scrape(&machine).await;
        assert_eq!(times(&text, "Metadata"), [[0.0; 2]; 3]);
        assert_eq!(times(&text, "Produce"), [[0.0; 2]; 3]);
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn packing_anew_is_remote_time() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(broker.client.create("t", &[("compression.type", "gzip")]).await, ErrorCode::None);
        broker.process.set_stalls(SLOW);
        for _ in 0..20 {
            assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        }
        let [total, local, remote] = times(&scrape(&machine).await, "Produce");
        assert!(total == remote && total[0] > 1.0 && local == [0.0; 2], "{total:?} {local:?} {remote:?}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn connections_are_told_apart_and_what_goes_through_them() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let idle = ("connections.max.idle.ms", "60000");
        let mut broker = machine.start_set_up(&[SETTINGS[0], SETTINGS[1], idle]).await;
        let connections = async |name: &str, version: &str| {
            let labels =
                format!("clientSoftwareName=\"{name}\",clientSoftwareVersion=\"{version}\",listener=\"PLAINTEXT\"");
            value(&scrape(&machine).await, &format!("kafka_server_socket_server_metrics_connections{{{labels}}}"))
        };
        assert_eq!(connections("unknown", "unknown").await, Some(1.0));
        let software = |name: &str, version: &str| ApiVersionsRequest {
            client_software_name: name.into(),
            client_software_version: version.into(),
            ..Default::default()
        };
        let mut other = machine.connect().await;
        other.call(&software("kafka-ruby", "1.5.0"), 3).await;
        assert_eq!(
            (connections("kafka-ruby", "1.5.0").await, connections("unknown", "unknown").await),
            (Some(1.0), Some(1.0))
        );
        other.call(&software("kafka-ruby", "2.0"), 4).await;
        assert_eq!(
            (connections("kafka-ruby", "1.5.0").await, connections("kafka-ruby", "2.0").await),
            (None, Some(1.0))
        );
        other.call(&software("kafka\"", "2.0"), 4).await;
        assert_eq!(connections("kafka-ruby", "2.0").await, Some(1.0), "what is refused is not believed");

        // A client may call itself as who says nothing is called.
        let mut nobody = machine.connect().await;
        nobody.call(&software("kafka-ruby", "2.0"), 4).await;
        nobody.call(&software("unknown", "unknown"), 4).await;
        assert_eq!(
            (connections("kafka-ruby", "2.0").await, connections("unknown", "unknown").await),
            (Some(1.0), Some(2.0))
        );
        let text = scrape(&machine).await;
        let unknown = "kafka_server_socket_server_metrics_connections{clientSoftwareName=\"unknown\"";
        assert_eq!(text.lines().filter(|line| line.starts_with(unknown)).count(), 1);
        drop(nobody);

        let sum = |text: &str, name: &str| value(text, &format!("{name}{{listener=\"PLAINTEXT\"}}")).unwrap();
        let of_net = |text: &str| {
            ["incoming_byte", "outgoing_byte", "request", "response"]
                .map(|name| sum(text, &format!("kafka_server_socket_server_metrics_{name}_total")))
        };
        let before = of_net(&scrape(&machine).await);
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        let text = scrape(&machine).await;
        let after = of_net(&text);
        assert_eq!([2, 3].map(|at| after[at] - before[at]), [2.0, 2.0]);
        let size = value(&text, "kafka_log_log_size{topic=\"t\",partition=\"0\"}").unwrap();
        assert!(after[0] - before[0] > size && after[1] > before[1], "{before:?} {after:?}");
        assert_eq!(sum(&text, "ottla_idle_connections_closed_total"), 0.0);
        broker.process.rt().sleep(Duration::from_secs(130)).await;
        let text = scrape(&machine).await;
        assert_eq!(sum(&text, "ottla_idle_connections_closed_total"), 2.0);
        assert_eq!(connections("kafka-ruby", "2.0").await, None);
        drop(broker);
    });
}

#[test]
fn what_coordinators_do_takes_time() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let one_partition = ("offsets.topic.num.partitions", "1");
        let mut broker = machine.start_slowly(&[SETTINGS[0], SETTINGS[1], one_partition], SLOW).await;
        let rt = broker.process.rt();
        let metric = async |name: &str| {
            value(&scrape(&machine).await, &format!("kafka_server_group_coordinator_metrics_{name}"))
        };
        assert_eq!((metric("partition_load_time_avg").await, metric("batch_flush_time_ms_p50").await), (None, None));
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(find(&mut broker.client).await, ErrorCode::None);
        while commit(&mut broker.client, 7).await != ErrorCode::None {
            rt.sleep(Duration::from_millis(10)).await;
        }
        let (mean, max) =
            (metric("partition_load_time_avg").await.unwrap(), metric("partition_load_time_max").await.unwrap());
        assert!(mean > 0.0 && mean <= max && max < 1_000.0, "{mean} {max}");
        for part in ["event_processing", "batch_flush"] {
            let mut less = 0.0;
            for quantile in ["p50", "p95", "p99", "p999"] {
                let more = metric(&format!("{part}_time_ms_{quantile}")).await.unwrap();
                assert!(less <= more && more < 1_000.0, "{part} {quantile} {less} {more}");
                less = more;
            }
            let max = metric(&format!("{part}_time_ms_max")).await.unwrap();
            assert!(less * 0.95 <= max && max < 1_000.0, "{part} {less} {max}");
        }
        let batches = async || value(&scrape(&machine).await, "ottla_group_coordinator_batches_total").unwrap();
        let before = batches().await;
        assert_eq!(commit(&mut broker.client, 8).await, ErrorCode::None);
        assert_eq!(batches().await, before + 1.0);
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn logs_are_synced_kept_to_a_size_and_know_their_producers() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let times = [
            ("producer.id.expiration.ms", "1000"),
            ("producer.id.expiration.check.interval.ms", "1000"),
            ("log.cleaner.backoff.ms", "60000"),
            ("log.initial.task.delay.ms", "600000"),
        ];
        let settings: Vec<_> = SETTINGS.iter().chain(&times).copied().collect();
        let mut broker = machine.start_slowly(&settings, SLOW).await;
        let (rt, client) = (broker.process.rt(), &mut broker.client);
        assert_eq!(client.create("t", &[("retention.bytes", "100"), ("flush.messages", "1")]).await, ErrorCode::None);
        assert_eq!(client.create("u", &[]).await, ErrorCode::None);
        let flushes = "kafka_log_logflushstats_logflushrateandtimems";
        let before = value(&scrape(&machine).await, &format!("{flushes}_count")).unwrap();
        let record = |timestamp| NewRecord { timestamp, key: Some(b"k"), value: Some(b"v"), ..NewRecord::default() };
        for producer_id in 0..3 {
            let options = BatchOptions { producer_id, producer_epoch: 0, base_sequence: 0, ..BatchOptions::default() };
            let sent = client.send_as(options, "t", &record(rt.now().wall_ms), 10_000).await;
            assert_eq!(sent, ErrorCode::None);
        }
        let text = scrape(&machine).await;
        assert!(value(&text, &format!("{flushes}_count")).unwrap() >= before + 3.0);
        assert!(value(&text, &format!("{flushes}{{quantile=\"0.999\"}}")).is_some());
        assert_eq!(value(&text, "kafka_server_replicamanager_produceridcount"), Some(3.0));
        let size = value(&text, "kafka_log_log_size{topic=\"t\",partition=\"0\"}").unwrap();
        let percent = |topic: &str| {
            value(&text, &format!("kafka_log_log_retentionsizeinpercent{{topic=\"{topic}\",partition=\"0\"}}"))
        };
        // In percent of 100 bytes.
        assert_eq!((percent("t"), percent("u"), size > 100.0), (Some(size), None, true));
        rt.sleep(Duration::from_secs(5)).await;
        assert_eq!(value(&scrape(&machine).await, "kafka_server_replicamanager_produceridcount"), Some(0.0));

        let configs = [("cleanup.policy", "compact"), ("segment.ms", "10"), ("max.compaction.lag.ms", "5000")];
        let (delay, io) = ("kafka_log_logcleaner_max_compaction_delay_secs", "kafka_utils_throttler_cleaner_io_count");
        assert_eq!(client.create("c", &configs).await, ErrorCode::None);
        for n in 0..3 {
            assert_eq!(client.send("c", &record(rt.now().wall_ms + 20_000 + n), 10_000).await, ErrorCode::None);
            rt.sleep(Duration::from_millis(20)).await;
        }
        let text = scrape(&machine).await;
        assert_eq!((value(&text, delay), value(&text, io)), (Some(0.0), Some(0.0)));
        rt.sleep(Duration::from_secs(130)).await;
        let text = scrape(&machine).await;
        assert!((15.0..110.0).contains(&value(&text, delay).unwrap()) && value(&text, io).unwrap() > 0.0, "{text}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn a_move_that_is_given_up_is_told_until_it_is_asked_for_again() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings: Vec<_> = TWO.iter().chain(SETTINGS).copied().collect();
        let mut broker = machine.start_set_up(&settings).await;
        make_topics(&mut broker.client).await;
        let rt = broker.process.rt();
        let failed = async || {
            let manager = "kafka_server_replicaalterlogdirsmanager_failedpartitionscount";
            value(&scrape(&machine).await, &format!("{manager}{{clientId=\"ReplicaAlterLogDirs\"}}"))
        };
        assert_eq!(failed().await, Some(0.0));
        let (disk, much) = (&machine.disk, 1 << 40);
        disk.set_capacity(Some(much));
        let used = much - disk.free_bytes(Path::new(DATA)).unwrap();
        disk.set_capacity(Some(used + (2 << 20)));
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        rt.sleep(Duration::from_secs(5)).await;
        assert_eq!(failed().await, Some(1.0));
        disk.set_capacity(None);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        assert_eq!(failed().await, Some(0.0));
        until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn a_move_that_is_given_up_when_another_is_asked_for_does_not_count() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings: Vec<_> = THREE.iter().chain(SETTINGS).copied().collect();
        let mut broker = machine.start_set_up(&settings).await;
        make_topics(&mut broker.client).await;
        // Nothing can be moved to where something is, which a move sees some time after it is asked for.
        machine.disk.create_dir(Path::new("/b/a-0")).unwrap();
        broker.process.set_stalls(SLOW);
        for _ in 0..10 {
            assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
            assert_eq!(ask_move(&mut broker.client, "a", "/c").await, ErrorCode::None);
            until_moved(&mut broker, &["/data: d", "/b: b", "/c: a c"]).await;
            broker.process.rt().sleep(Duration::from_secs(1)).await;
            let failed = "kafka_server_replicaalterlogdirsmanager_failedpartitionscount";
            let text = scrape(&machine).await;
            assert_eq!(value(&text, &format!("{failed}{{clientId=\"ReplicaAlterLogDirs\"}}")), Some(0.0));
        }
        broker.process.set_stalls(Stalls::default());
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn the_controller_and_who_goes_by_it_are_measured() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let snapshots = ("metadata.log.max.record.bytes.between.snapshots", "300");
        let settings = [SETTINGS[0], SETTINGS[1], snapshots];
        let mut broker = machine.start_slowly(&settings, SLOW).await;
        let (rt, client) = (broker.process.rt(), &mut broker.client);
        let all = [
            "kafka_controller_kafkacontroller_eventqueueoperationsstartedcount",
            "kafka_controller_controllereventmanager_eventqueueprocessingtimems_count",
            "kafka_controller_kafkacontroller_lastappliedrecordtimestamp",
            "kafka_server_broker_metadata_metrics_last_applied_record_timestamp",
            "kafka_server_brokermetadatalistener_metadatabatchsizes_count",
            "kafka_server_brokermetadatalistener_metadatabatchprocessingtimeus_count",
        ];
        let seen = async || {
            let text = scrape(&machine).await;
            all.map(|sample| value(&text, sample).unwrap_or_else(|| panic!("{sample} in\n{text}")))
        };
        let before = seen().await;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        let after = seen().await;
        assert!(before.iter().zip(after).all(|(before, after)| *before < after), "{before:?} {after:?}");
        assert!((after[2] - rt.now().wall_ms as f64).abs() < 10_000.0);
        let text = scrape(&machine).await;
        // A topic and its partition.
        assert_eq!(
            value(&text, "kafka_server_brokermetadatalistener_metadatabatchsizes{quantile=\"0.50\"}"),
            Some(2.0)
        );
        let micros = "kafka_server_brokermetadatalistener_metadatabatchprocessingtimeus{quantile=\"0.999\"}";
        assert!(value(&text, micros).unwrap() > 1_000.0);
        let latency =
            ["avg", "max"].map(|what| value(&text, &format!("kafka_server_raft_metrics_commit_latency_{what}")));
        // Milliseconds, not seconds or microseconds.
        assert!(latency[0] > Some(1.0) && latency[0] <= latency[1] && latency[1] < Some(1_000.0), "{latency:?}");
        for (sample, expected) in [
            ("kafka_server_raft_metrics_current_epoch", 1.0),
            ("kafka_server_raft_metrics_log_end_epoch", 1.0),
            ("kafka_server_metadataloader_handleloadsnapshotcount", 0.0),
            ("kafka_controller_kafkacontroller_lastappliedrecordlagms", 0.0),
            ("kafka_server_broker_metadata_metrics_last_applied_record_lag_ms", 0.0),
        ] {
            assert_eq!(value(&text, sample), Some(expected), "{sample}");
        }
        rt.sleep(Duration::from_secs(1)).await;
        machine.crash(broker).await;

        let broker = machine.start_set_up(&settings).await;
        let text = scrape(&machine).await;
        for (sample, expected) in [
            ("kafka_server_raft_metrics_current_epoch", 2.0),
            ("kafka_server_raft_metrics_log_end_epoch", 2.0),
            ("kafka_server_metadataloader_handleloadsnapshotcount", 1.0),
        ] {
            assert_eq!(value(&text, sample), Some(expected), "{sample}");
        }
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn what_the_metadata_suffer_is_counted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let (rt, client) = (broker.process.rt(), &mut broker.client);
        let counts = async || {
            let text = scrape(&machine).await;
            [
                "kafka_controller_kafkacontroller_metadataerrorcount",
                "kafka_server_broker_metadata_metrics_metadata_load_error_count",
                "kafka_controller_kafkacontroller_eventqueueoperationstimedoutcount",
            ]
            .map(|sample| value(&text, sample).unwrap())
        };
        assert_eq!(counts().await, [0.0, 0.0, 0.0]);
        machine.disk.fail_all(Operation::Sync, METADATA, ErrorKind::Other);
        assert_eq!(client.create_within("late", &[], 1_000).await, ErrorCode::RequestTimedOut);
        assert_eq!(counts().await, [0.0, 0.0, 1.0]);
        machine.disk.mend();
        rt.sleep(Duration::from_secs(5)).await;
        machine.disk.fail_all(Operation::Write, METADATA, ErrorKind::Other);
        machine.disk.fail_all(Operation::Read, METADATA, ErrorKind::Other);
        assert_eq!(client.create("refused", &[]).await, ErrorCode::KafkaStorageError);
        rt.sleep(Duration::from_secs(1)).await;
        let [errors, load_errors, _] = counts().await;
        assert!(errors > load_errors && load_errors > 0.0, "{errors} {load_errors}");
        machine.disk.mend();
        rt.sleep(Duration::from_secs(10)).await;
        assert_eq!(client.create("taken", &[]).await, ErrorCode::None);
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn a_broker_that_is_behind_the_metadata_says_by_how_much() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let rt = broker.process.rt();
        // What was applied before is old, what is behind is not.
        rt.sleep(Duration::from_secs(300)).await;
        broker.process.set_stalls(Stalls { per_mille: 1000, ms_max: 1_000 });
        let lags = async {
            let mut most = 0.0_f64;
            for _ in 0..40 {
                let lag = "kafka_server_broker_metadata_metrics_last_applied_record_lag_ms";
                most = value(&scrape(&machine).await, lag).unwrap().max(most);
                rt.sleep(Duration::from_millis(10)).await;
            }
            most
        };
        let creates = async {
            for topic in ["a", "b", "c", "d", "e", "f"] {
                assert_eq!(broker.client.create(topic, &[]).await, ErrorCode::None);
            }
        };
        let (most, ()) = tokio::join!(biased; lags, creates);
        assert!(most > 10.0 && most < 60_000.0, "{most}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn it_is_told_for_how_long_memory_for_requests_was_short() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let sizes = [("queued.max.request.bytes", "300000"), ("socket.request.max.bytes", "300000")];
        let settings: Vec<_> = SETTINGS.iter().chain(&sizes).copied().collect();
        let broker = machine.start_set_up(&settings).await;
        let rt = broker.process.rt();
        let depleted = async || {
            let sample = "kafka_server_socket_server_metrics_memorypooldepletedtimetotal";
            value(&scrape(&machine).await, sample).unwrap()
        };
        // The first takes what there is, the second reads on all the same, and the third waits.
        let mut clients = [machine.connect().await, machine.connect().await, machine.connect().await];
        for (at, client) in clients.iter_mut().enumerate() {
            assert_eq!(depleted().await, 0.0, "{at}");
            client.send_part(290_000, 1_000).await;
            rt.sleep(Duration::from_millis(100)).await;
        }
        rt.sleep(Duration::from_secs(3)).await;
        let short_ms = depleted().await;
        assert!((3_000.0..4_000.0).contains(&short_ms), "{short_ms}");
        drop(clients);
        rt.sleep(Duration::from_secs(1)).await;
        let after = depleted().await;
        rt.sleep(Duration::from_secs(3)).await;
        assert_eq!(depleted().await, after);
        machine.stop(broker).await.unwrap();
    });
}
