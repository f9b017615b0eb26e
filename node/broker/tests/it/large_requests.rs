//! Requests that name very many partitions: what they may name, and what is kept of them.

use ottla_wire::messages::{
    AlterReplicaLogDir, AlterReplicaLogDirTopic, AlterReplicaLogDirsRequest, DescribableLogDirTopic,
    DescribeLogDirsRequest,
};
use ottla_wire::{ApiKey, ErrorCode, Form, PARTITIONS_MAX, Writer};

use crate::heap::live_bytes;
use crate::support::*;

const PRODUCE_VERSION: i16 = 9;
const FETCH_VERSION: i16 = 12;
/// A connection may keep so much of what it needed.
const KEPT_BYTES_MAX: isize = 1 << 20;

/// Two topics with so many partitions; behind the index of each stands `rest`.
fn topics(writer: &mut Writer<'_>, partitions: usize, rest: &[u8]) {
    writer.uvarint(3);
    for (name, partitions) in [("unknown", partitions / 2), ("t", partitions - partitions / 2)] {
        writer.str(name, Form::Compact);
        writer.uvarint(partitions as u32 + 1);
        for index in 0..partitions {
            writer.i32(index as i32);
            writer.raw(rest);
        }
        writer.uvarint(0);
    }
}

fn produce(writer: &mut Writer<'_>, partitions: usize) {
    writer.uvarint(0);
    writer.i16(1);
    writer.i32(1000);
    // Null records, no tags.
    topics(writer, partitions, &[0; 2]);
    writer.uvarint(0);
}

fn fetch(writer: &mut Writer<'_>, partitions: usize) {
    for head in [-1, 0, 0, 1 << 20] {
        writer.i32(head);
    }
    writer.i8(0);
    writer.i32(0);
    writer.i32(-1);
    topics(writer, partitions, &[0; 29]);
    writer.uvarint(1);
    writer.uvarint(1);
    writer.uvarint(0);
}

fn check(key: ApiKey, version: i16, body: fn(&mut Writer<'_>, usize)) {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        assert_eq!(broker.client.create("t", &[]).await, ErrorCode::None);
        let mut client = machine.connect().await;
        client.ask(key, version, |writer| body(writer, 10)).await;
        let before = live_bytes();
        let answer = client.ask(key, version, |writer| body(writer, PARTITIONS_MAX)).await;
        assert!(answer.len() > 10 * PARTITIONS_MAX);
        drop(answer);
        // Now the connection is idle.
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
        let kept = live_bytes() - before;
        assert!(kept < KEPT_BYTES_MAX, "{kept} bytes are kept");

        assert!(client.is_refused(key, version, |writer| body(writer, PARTITIONS_MAX + 1)).await);
        assert_eq!(broker.client.produce("t", 1000).await, ErrorCode::None);
    });
}

#[test]
fn of_a_large_produce_request_nothing_is_kept() {
    check(ApiKey::Produce, PRODUCE_VERSION, produce);
}

#[test]
fn of_a_large_fetch_nothing_is_kept() {
    check(ApiKey::Fetch, FETCH_VERSION, fetch);
}

/// So many entries a request about log directories may have.
const ENTRIES_MAX: i32 = 10_000;

#[test]
fn requests_about_log_directories_name_so_much_and_no_more() {
    let machine = Machine::new();
    machine.world.block_on(async {
        let mut broker = machine.start().await;
        let client = &mut broker.client;
        assert_eq!(client.create("t", &[]).await, ErrorCode::None);
        for (most, described, altered) in [
            (ENTRIES_MAX, ErrorCode::None, ErrorCode::LogDirNotFound),
            (ENTRIES_MAX + 1, ErrorCode::InvalidRequest, ErrorCode::PolicyViolation),
        ] {
            // Each index twice.
            let partitions: Vec<i32> = (0..most).map(|n| n / 2).collect();
            let topic = DescribableLogDirTopic { topic: "t".into(), partitions, ..Default::default() };
            let request = DescribeLogDirsRequest { topics: Some(vec![topic]), ..Default::default() };
            let answer = client.call(&request, 5).await;
            assert_eq!(code(answer.error_code), described);
            let replicas: usize = answer.results.iter().flat_map(|dir| &dir.topics).map(|t| t.partitions.len()).sum();
            assert_eq!(replicas, usize::from(described == ErrorCode::None));

            // A directory counts too.
            let partitions = (1..most).collect();
            let topic = AlterReplicaLogDirTopic { name: "t".into(), partitions, ..Default::default() };
            let dir = AlterReplicaLogDir { path: "/nowhere".into(), topics: vec![topic], ..Default::default() };
            let request = AlterReplicaLogDirsRequest { dirs: vec![dir], ..Default::default() };
            let answer = client.call(&request, 2).await;
            let results = &answer.results[0].partitions;
            assert_eq!(results.len(), most as usize - 1);
            assert!(results.iter().all(|result| code(result.error_code) == altered));
        }
    });
}
