//! Requests and the answers of Apache Kafka 4.3.1 to them, as they went over a socket. `testdata/hot-kafka-4.3.1.txt` has
//! for each a title, then `>` and `<` with the frames in hexadecimal, without their sizes.

use kafka_wire_core::TaggedFields;
use ottla_wire::Reader;
use ottla_wire::frame::{RequestHeader, ResponseFrame, SIZE_BYTES};

use crate::{fetch, oracle, produce};

const EXCHANGES: &str = include_str!("../../testdata/hot-kafka-4.3.1.txt");

struct Exchange {
    title: &'static str,
    request: Vec<u8>,
    response: Vec<u8>,
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

fn exchanges(api: &str) -> Vec<Exchange> {
    let mut exchanges = Vec::new();
    for paragraph in EXCHANGES.split("\n\n").filter(|paragraph| paragraph.starts_with(&format!("= {api} "))) {
        let mut lines = paragraph.lines();
        let mut line = |prefix| lines.next().and_then(|line| line.strip_prefix(prefix)).unwrap();
        exchanges.push(Exchange { title: line("= "), request: bytes(line("> ")), response: bytes(line("< ")) });
    }
    assert!(!exchanges.is_empty());
    exchanges
}

/// The answer as Kafka frames it, made from its body.
fn framed(header: RequestHeader<'_>, body: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let frame = ResponseFrame::begin(&mut out, header.start());
    out.extend_from_slice(body);
    frame.end(&mut out, 0);
    out.split_off(SIZE_BYTES)
}

fn body_of<'a>(response: &'a [u8], header: RequestHeader<'_>) -> &'a [u8] {
    &response[framed(header, &[]).len()..]
}

#[test]
fn produce() {
    for Exchange { title, request, response } in exchanges("Produce") {
        let mut reader = Reader::new(&request);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let body_at = reader.position();
        let ours = produce::read(&request, body_at, header.version).unwrap();
        assert_eq!(ours, oracle::decode(&request[body_at..], header.version), "{title}");

        let theirs = oracle::decode(body_of(&response, header), header.version);
        assert_eq!(framed(header, &produce::write(&theirs, header.version)), response, "{title}");
    }
}

#[test]
fn fetch() {
    for Exchange { title, request, response } in exchanges("Fetch") {
        let mut reader = Reader::new(&request);
        let header = RequestHeader::decode(&mut reader).unwrap();
        let body_at = reader.position();
        let ours = fetch::read(&request, body_at, header.version).unwrap();
        let mut theirs: kafka_wire::FetchRequest = oracle::decode(&request[body_at..], header.version);
        theirs.unknown_tagged_fields = TaggedFields::default();
        for partition in theirs.topics.iter_mut().flat_map(|topic| &mut topic.partitions) {
            partition.unknown_tagged_fields = TaggedFields::default();
        }
        assert_eq!(ours, theirs, "{title}");

        let theirs = oracle::decode(body_of(&response, header), header.version);
        assert_eq!(framed(header, &fetch::write(&theirs, header.version)), response, "{title}");
    }
}
