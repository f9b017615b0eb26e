//! Metrics and health, as somebody sees them who asks over HTTP.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::time::Duration;

use ottla_records::NewRecord;
use ottla_rt::Stalls;
use ottla_storage::disk::{Disk, Open, Operation};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{
    FindCoordinatorRequest, HeartbeatRequest, JoinGroupRequest, JoinGroupRequestProtocol, MetadataRequest,
    OffsetCommitRequest, OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};

use crate::directories::*;
use crate::support::*;

pub const SETTINGS: &[(&str, &str)] =
    &[("listeners", "PLAINTEXT://127.0.0.1:9092"), ("ottla.http.listener", "127.0.0.1:9644")];
const PORT: u16 = 9644;

async fn get(machine: &Machine, path: &str) -> (u16, String) {
    machine.get(PORT, path).await.expect("it listens")
}

pub async fn scrape(machine: &Machine) -> String {
    get(machine, "/metrics").await.1
}

/// The value of a sample.
pub fn value(text: &str, sample: &str) -> Option<f64> {
    text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')?.parse().ok())
}

#[test]
fn what_was_produced_and_asked_is_counted() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(
            client.create("u", &[("cleanup.policy", "compact"), ("min.insync.replicas", "2")]).await,
            ErrorCode::None
        );
        for _ in 0..3 {
            assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        }
        assert_eq!(client.produce("u", 1000).await, ErrorCode::InvalidRecord);
        assert_eq!(client.produce("nowhere", 1000).await, ErrorCode::UnknownTopicOrPartition);
        client.call(&MetadataRequest::default(), 12).await;
        let (status, text) = get(&machine, "/metrics").await;
        assert_eq!(status, 200);
        let bytes = machine.read("t-0/00000000000000000000.log").len() as f64;
        for (sample, expected) in [
            ("kafka_server_brokertopicmetrics_messagesin_total", 3.0),
            ("kafka_server_brokertopicmetrics_messagesin_total{topic=\"t\"}", 3.0),
            ("kafka_server_brokertopicmetrics_bytesin_total{topic=\"t\"}", bytes),
            ("kafka_server_brokertopicmetrics_totalproducerequests_total{topic=\"u\"}", 1.0),
            ("kafka_server_brokertopicmetrics_failedproducerequests_total{topic=\"u\"}", 1.0),
            ("kafka_server_brokertopicmetrics_failedproducerequests_total", 1.0),
            ("kafka_network_requestmetrics_requests_total{request=\"Produce\",version=\"8\"}", 5.0),
            ("kafka_network_requestmetrics_totaltimems_count{request=\"Produce\"}", 5.0),
            ("kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"NONE\"}", 3.0),
            ("kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"INVALID_RECORD\"}", 1.0),
            (
                "kafka_network_requestmetrics_errors_total{request=\"Produce\",error=\"UNKNOWN_TOPIC_OR_PARTITION\"}",
                1.0,
            ),
            ("kafka_network_requestmetrics_errors_total{request=\"CreateTopics\",error=\"NONE\"}", 2.0),
            ("kafka_network_requestmetrics_requests_total{request=\"Metadata\",version=\"12\"}", 1.0),
            ("kafka_log_log_logendoffset{topic=\"t\",partition=\"0\"}", 3.0),
            ("kafka_log_log_size{topic=\"t\",partition=\"0\"}", bytes),
            ("kafka_log_log_numlogsegments{topic=\"t\",partition=\"0\"}", 1.0),
            ("kafka_server_brokertopicmetrics_nokeycompactedtopicrecords_total", 1.0),
            ("kafka_cluster_partition_underminisr{topic=\"u\",partition=\"0\"}", 0.0),
            ("kafka_cluster_partition_atminisr{topic=\"u\",partition=\"0\"}", 1.0),
            ("kafka_server_replicamanager_partitioncount", 2.0),
            ("kafka_server_replicamanager_underminisrpartitioncount", 0.0),
            ("kafka_server_replicamanager_atminisrpartitioncount", 2.0),
            ("kafka_server_replicamanager_underreplicatedpartitions", 0.0),
            ("kafka_controller_kafkacontroller_activecontrollercount", 1.0),
            ("kafka_controller_kafkacontroller_globaltopiccount", 2.0),
            ("kafka_controller_kafkacontroller_brokerregistrationstate{broker=\"1\"}", 30.0),
            ("kafka_server_kafkaserver_brokerstate", 3.0),
            ("kafka_server_socket_server_metrics_connection_count{listener=\"PLAINTEXT\"}", 1.0),
        ] {
            assert_eq!(value(&text, sample), Some(expected), "{sample} in\n{text}");
        }
        assert_eq!(value(&text, "kafka_server_brokertopicmetrics_bytesout_total{topic=\"t\"}"), None);
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn it_is_ready_when_it_serves_and_not_while_it_starts_or_stops() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(get(&machine, "/readyz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(&machine, "/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get(&machine, "/elsewhere").await.0, 404);
        assert!(get(&machine, "/").await.1.contains("/readyz"));
        machine.stop(broker).await.unwrap();
        let rt = machine.world.process("looking on").rt();
        let looks = async {
            loop {
                if let Some((status, text)) = machine.get(PORT, "/readyz").await {
                    let (health, metrics) = (get(&machine, "/healthz").await.0, get(&machine, "/metrics").await.1);
                    return (status, text, health, value(&metrics, "kafka_server_kafkaserver_brokerstate"));
                }
                rt.sleep(Duration::from_millis(1)).await;
            }
        };
        let stalls = Stalls { per_mille: 1000, ms_max: 2000 };
        let (seen, broker) = tokio::join!(biased; looks, machine.start_slowly(SETTINGS, stalls));
        let starting = "the broker starts: it is reading its logs, or registering\n".to_owned();
        assert_eq!(seen, (503, starting, 200, Some(1.0)));
        assert_eq!(get(&machine, "/readyz").await.0, 200);
        let looks = async {
            rt.sleep(Duration::from_millis(1)).await;
            get(&machine, "/readyz").await
        };
        let (seen, stopped) = tokio::join!(biased; looks, machine.stop(broker));
        assert_eq!(seen, (503, "the broker stops\n".to_owned()));
        stopped.unwrap();
        assert_eq!(machine.get(PORT, "/readyz").await, None);
    });
}

#[test]
fn a_group_is_behind_in_records_and_in_time() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(&[SETTINGS[0], SETTINGS[1], ("offsets.topic.num.partitions", "2")]).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[("message.timestamp.type", "LogAppendTime")]).await, ErrorCode::None);
        assert_eq!(get(&machine, "/groups/g").await, (503, "{\"error\":\"NOT_COORDINATOR\"}\n".to_owned()));
        let coordinator =
            FindCoordinatorRequest { key_type: 0, coordinator_keys: vec!["g".into()], ..Default::default() };
        client.call(&coordinator, 4).await;
        for _ in 0..3 {
            assert_eq!(client.produce("t", 1000).await, ErrorCode::None);
        }
        let partition = OffsetCommitRequestPartition { committed_offset: 1, ..Default::default() };
        let topic = OffsetCommitRequestTopic { name: "t".into(), partitions: vec![partition], ..Default::default() };
        let commit = OffsetCommitRequest {
            group_id: "g".into(),
            generation_id_or_member_epoch: -1,
            topics: vec![topic],
            ..Default::default()
        };
        loop {
            let answer = client.call(&commit, 8).await;
            match code(answer.topics[0].partitions[0].error_code) {
                ErrorCode::None => break,
                error => assert_eq!(error, ErrorCode::CoordinatorLoadInProgress),
            }
            rt.sleep(Duration::from_millis(1)).await;
        }
        // As old as that are the records, or a little older.
        rt.sleep(Duration::from_secs(7)).await;
        let (status, text) = get(&machine, "/groups/g").await;
        let partition = "\"partitions\":[{\"topic\":\"t\",\"partition\":0,\"committed_offset\":1,\"end_offset\":3,\
                         \"lag_messages\":2,\"lag_seconds\":7";
        assert!(status == 200 && text.contains(partition), "{text}");
        let metrics = get(&machine, "/metrics").await.1;
        let labels = "{group=\"g\",topic=\"t\",partition=\"0\"}";
        assert_eq!(value(&metrics, &format!("ottla_group_lag_messages{labels}")), Some(2.0));
        let seconds = value(&metrics, &format!("ottla_group_lag_seconds{labels}")).unwrap();
        assert!((7.0..8.0).contains(&seconds), "{seconds}");
        assert_eq!(value(&metrics, "kafka_coordinator_group_groupmetadatamanager_numoffsets"), Some(1.0));
        let commits = "kafka_server_group_coordinator_metrics_offset_commit_count";
        assert_eq!(value(&metrics, commits), Some(1.0));
        assert_eq!(get(&machine, "/groups/h").await.0, 404);
        let (_, list) = get(&machine, "/groups").await;
        let listed = "{\"group\":\"g\",\"type\":\"classic\",\"state\":\"Empty\",\"members\":0,\"lag_messages\":2}";
        assert_eq!(list, format!("{{\"groups\":[{listed}]}}\n"));
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn a_log_that_is_not_open_is_named() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        machine.crash(broker).await;
        machine.disk.fail_all(Operation::Read, "t-0/", ErrorKind::Other);
        let broker = machine.start_set_up(SETTINGS).await;
        assert_eq!(get(&machine, "/readyz").await, (200, "ok\nthe log of t-0 is not open\n".to_owned()));
        let metrics = get(&machine, "/metrics").await.1;
        assert_eq!(value(&metrics, "kafka_server_replicamanager_offlinereplicacount"), Some(1.0));
        let apply_errors = async || {
            let sample = "kafka_server_broker_metadata_metrics_metadata_apply_error_count";
            value(&scrape(&machine).await, sample).unwrap()
        };
        let before = apply_errors().await;
        // It is tried again every five seconds.
        broker.process.rt().sleep(Duration::from_secs(6)).await;
        assert!(before >= 1.0 && apply_errors().await > before);
        assert_eq!(value(&metrics, "kafka_log_log_size{topic=\"t\",partition=\"0\"}"), None);
        drop(broker);
    });
}

#[test]
fn an_address_that_is_taken_stops_the_start() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let error = machine.start_error(&[("listeners", "PLAINTEXT://127.0.0.1:9644"), SETTINGS[1]]).await;
        assert!(error.starts_with("cannot listen on 127.0.0.1:9644 (ottla.http.listener): "), "{error}");
    });
}

#[test]
fn a_second_broker_on_one_machine_does_without_where_nobody_asked_for_it() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let default = "127.0.0.1:9644".parse().ok();
        let (process, running) = machine.start_plain(&[SETTINGS[0]]).await;
        assert_eq!(running.http_address(), default);
        running.stop().await.unwrap();
        process.kill();
        let (_, running) = machine.start_plain(&[("listeners", "PLAINTEXT://127.0.0.1:9644")]).await;
        assert_eq!(running.http_address(), None);
        assert_eq!(machine.connect_to(PORT).await.create("t", &[]).await, ErrorCode::None);
        running.stop().await.unwrap();
    });
}

#[test]
fn many_who_ask_for_groups_leave_room_for_others() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let stalls = Stalls { per_mille: 1000, ms_max: 2000 };
        let broker = machine.start_slowly(SETTINGS, stalls).await;
        let groups = async || get(&machine, "/groups").await.0;
        let asked = async {
            tokio::join!(biased; groups(), groups(), groups(), groups(), groups(), groups(), groups(), groups(), groups(), groups())
        };
        let ((a, b, c, d, e, f, g, h, i, j), health) = tokio::join!(biased; asked, get(&machine, "/healthz"));
        let mut seen = [a, b, c, d, e, f, g, h, i, j];
        seen.sort_unstable();
        assert_eq!(seen, [200, 200, 200, 200, 200, 200, 200, 200, 503, 503]);
        assert_eq!(health.0, 200);
        assert_eq!(groups().await, 200);
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn it_is_told_why_a_group_rebalanced_and_by_how_much_a_member_was_late() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let one_partition = ("offsets.topic.num.partitions", "1");
        let mut broker = machine.start_set_up(&[SETTINGS[0], SETTINGS[1], one_partition]).await;
        let rt = broker.process.rt();
        let client = &mut broker.client;
        let coordinator =
            FindCoordinatorRequest { key_type: 0, coordinator_keys: vec!["g".into()], ..Default::default() };
        client.call(&coordinator, 4).await;
        let protocol = JoinGroupRequestProtocol { name: "range".into(), ..Default::default() };
        let join = JoinGroupRequest {
            group_id: "g".into(),
            session_timeout_ms: 10_000,
            rebalance_timeout_ms: 60_000,
            protocol_type: "consumer".into(),
            protocols: vec![protocol],
            ..Default::default()
        };
        let joined = loop {
            let joined = client.call(&join, 3).await;
            match code(joined.error_code) {
                ErrorCode::None => break joined,
                error => assert_eq!(error, ErrorCode::CoordinatorLoadInProgress),
            }
            rt.sleep(Duration::from_millis(1)).await;
        };
        rt.sleep(Duration::from_secs(25)).await;
        let beat = HeartbeatRequest {
            group_id: "g".into(),
            generation_id: joined.generation_id,
            member_id: joined.member_id,
            ..Default::default()
        };
        assert_eq!(code(client.call(&beat, 3).await.error_code), ErrorCode::UnknownMemberId);
        let metrics = get(&machine, "/metrics").await.1;
        for (sample, expected) in [
            ("ottla_group_rebalances_total{group=\"g\"}", 1.0),
            ("ottla_group_rebalance_reasons_total{group=\"g\",reason=\"joined\"}", 1.0),
            ("ottla_group_rebalance_reasons_total{group=\"g\",reason=\"timed out\"}", 1.0),
            ("ottla_group_moved_partitions_total{group=\"g\"}", 0.0),
            ("kafka_server_group_coordinator_metrics_group_count{protocol=\"classic\"}", 1.0),
            ("kafka_server_group_coordinator_metrics_group_count{protocol=\"consumer\"}", 0.0),
            ("kafka_server_group_coordinator_metrics_consumer_group_count{state=\"Stable\"}", 0.0),
            ("kafka_server_group_coordinator_metrics_num_partitions{state=\"active\"}", 1.0),
            ("kafka_server_group_coordinator_metrics_num_partitions{state=\"loading\"}", 0.0),
            ("kafka_server_group_coordinator_metrics_offset_commit_count", 0.0),
            ("kafka_server_replicaalterlogdirsmanager_maxlag{clientId=\"ReplicaAlterLogDirs\"}", 0.0),
        ] {
            assert_eq!(value(&metrics, sample), Some(expected), "{sample}");
        }
        let idle = value(&metrics, "ottla_group_idle_seconds_total{group=\"g\"}").unwrap();
        assert!((13.0..14.0).contains(&idle), "it has not synced: {idle}");
        let (status, text) = get(&machine, "/groups/g").await;
        let late = "\"reason\":\"timed out\",\"session_timeout_ms\":10000,\"late_ms\":150";
        assert!(status == 200 && text.contains(late) && text.contains("\"heard_again\":true"), "{text}");
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn how_far_a_move_is_behind_is_told() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let settings: Vec<_> = TWO.iter().chain(SETTINGS).copied().collect();
        let mut broker = machine.start_set_up(&settings).await;
        make_topics(&mut broker.client).await;
        let end = offset(&mut broker.client, "a", LATEST).await.1;
        machine.disk.fail_all(Operation::Read, "/data/a-0", ErrorKind::NotFound);
        assert_eq!(ask_move(&mut broker.client, "a", "/b").await, ErrorCode::None);
        broker.process.rt().sleep(Duration::from_secs(8)).await;
        let lag = "kafka_server_replicaalterlogdirsmanager_maxlag{clientId=\"ReplicaAlterLogDirs\"}";
        assert_eq!(value(&get(&machine, "/metrics").await.1, lag), Some(end as f64));
        assert!(end > 0);
        machine.disk.mend();
        until_moved(&mut broker, &["/data: c", "/b: a b d"]).await;
        assert_eq!(value(&get(&machine, "/metrics").await.1, lag), Some(0.0));
        machine.stop(broker).await.unwrap();
    });
}

#[test]
fn what_cannot_be_compacted_is_told() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let backoff = ("log.cleaner.backoff.ms", "5000");
        let mut broker = machine.start_set_up(&[SETTINGS[0], SETTINGS[1], ("log.dirs", "/data"), backoff]).await;
        let (rt, client) = (broker.process.rt(), &mut broker.client);
        let configs = [("cleanup.policy", "compact"), ("segment.ms", "10"), ("min.cleanable.dirty.ratio", "0.01")];
        assert_eq!(client.create("t", &configs).await, ErrorCode::None);
        for n in 0..10 {
            let timestamp = rt.now().wall_ms + 1000 * n;
            let record = NewRecord { timestamp, key: Some(b"k"), value: Some(&[0; 100]), ..NewRecord::default() };
            assert_eq!(client.send("t", &record, 1000).await, ErrorCode::None);
        }
        // A bit of a value has flipped.
        let path = "/data/t-0/00000000000000000005.log";
        let file = machine.disk.open(Path::new(path), Open::Write).unwrap();
        file.write_vectored_at(&[IoSlice::new(&[1])], 100).unwrap();
        let samples = ["partitions_count", "bytes"]
            .map(|what| format!("kafka_log_logcleanermanager_uncleanable_{what}{{logDirectory=\"/data\"}}"));
        let told = async || {
            let text = get(&machine, "/metrics").await.1;
            samples.each_ref().map(|sample| value(&text, sample))
        };
        assert_eq!(told().await, [Some(0.0); 2]);
        rt.sleep(Duration::from_secs(20)).await;
        let sizes = (0..9).map(|n| machine.read(&format!("t-0/{n:020}.log")).len());
        assert_eq!(told().await, [Some(1.0), Some(sizes.sum::<usize>() as f64)]);
        machine.stop(broker).await.unwrap();
    });
}
