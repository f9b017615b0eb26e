//! Frames and headers, by the bytes that Kafka has written.

use kafka_wire::{RequestHeader as OracleHeader, ResponseHeader as OracleResponseHeader};
use ottla_wire::Reader;
use ottla_wire::frame::{FrameError, RequestHeader, RequestStart, ResponseFrame, SIZE_BYTES, frame_bytes};

use crate::dice::Dice;
use crate::oracle;

const PRODUCE: i16 = 0;
const SASL_HANDSHAKE: i16 = 17;
const API_VERSIONS: i16 = 18;

fn check_size(stream: &[u8], expected: Result<Option<usize>, FrameError>) {
    assert_eq!(frame_bytes(stream, 1000), expected, "{stream:02x?}");
}

#[test]
fn sizes() {
    check_size(&[], Ok(None));
    check_size(&[0, 0, 3], Ok(None));
    check_size(&[0, 0, 0, 10], Ok(Some(14)));
    check_size(&[0, 0, 3, 0xe8], Ok(Some(1004)));
    check_size(&[0, 0, 3, 0xe9], Err(FrameError::TooLong { bytes: 1001, bytes_max: 1000 }));
    check_size(&[0x7f, 0xff, 0xff, 0xff], Err(FrameError::TooLong { bytes: i32::MAX as usize, bytes_max: 1000 }));
    check_size(&[0, 0, 0, 0], Err(FrameError::TooShort(0)));
    check_size(&[0, 0, 0, 9], Err(FrameError::TooShort(9)));
    check_size(&[0xff, 0xff, 0xff, 0xff], Err(FrameError::TooShort(-1)));
    check_size(b"GET / HTTP/1.1\r\n", Err(FrameError::TooLong { bytes: 0x47455420, bytes_max: 1000 }));
}

fn check_request_header(key: i16, version: i16, header_version: i16) {
    let mut d = Dice::new(version as u64);
    for _ in 0..50 {
        let mut drawn = OracleHeader::default();
        (drawn.request_api_key, drawn.request_api_version, drawn.correlation_id) = (key, version, d.i32());
        drawn.client_id = d.maybe(Dice::text);
        if header_version >= 2 {
            drawn.unknown_tagged_fields = d.unknown_tags();
        }
        let bytes = [&oracle::encode(&drawn, header_version)[..], b"body"].concat();
        let mut reader = Reader::new(&bytes);
        let client_id = drawn.client_id.as_deref().map(str::as_bytes);
        let correlation_id = drawn.correlation_id;
        assert_eq!(RequestHeader::decode(&mut reader), Ok(RequestHeader { key, version, correlation_id, client_id }));
        assert_eq!(reader.take(reader.remaining(), "body"), Ok(&b"body"[..]));
        oracle::check_hostile(&bytes[..bytes.len() - 4], &mut d, |bytes| {
            RequestHeader::decode(&mut Reader::new(bytes)).map(drop)
        });
    }
}

#[test]
fn request_headers() {
    check_request_header(PRODUCE, 8, 1);
    check_request_header(PRODUCE, 9, 2);
    check_request_header(SASL_HANDSHAKE, 1, 1);
    check_request_header(API_VERSIONS, 2, 1);
    check_request_header(API_VERSIONS, 4, 2);
    check_request_header(API_VERSIONS, i16::MAX, 2);
}

#[test]
fn odd_requests() {
    let decode = |bytes| RequestHeader::decode(&mut Reader::new(bytes));
    let client_id = decode(&[0, 0, 0, 8, 0, 0, 0, 7, 0, 2, 0xff, 0xfe]).unwrap().client_id;
    assert_eq!(client_id, Some(&[0xff, 0xfe][..]), "not UTF-8 and yet served");
    assert_eq!(decode(&[1, 0, 0, 0, 0, 0, 0, 7, 0, 0]), Err(FrameError::ApiKey(256)));
    // An ApiVersions of a version from the future, whose header may be of a kind that nobody knows.
    let start = RequestStart::decode(&mut Reader::new(&[0, 18, 0, 99, 0, 0, 0, 7, 0x80]));
    assert_eq!(start, Ok(RequestStart { key: API_VERSIONS, version: 99, correlation_id: 7 }));
}

fn check_response_frame(key: i16, version: i16, header_version: i16) {
    let mut expected = OracleResponseHeader::default();
    expected.correlation_id = 7;
    let header = oracle::encode(&expected, header_version);
    let mut out = b"before".to_vec();
    let frame = ResponseFrame::begin(&mut out, RequestStart { key, version, correlation_id: 7 });
    out.extend_from_slice(b"body");
    frame.end(&mut out, 1_000_000);
    let size = (header.len() + b"body".len() + 1_000_000) as u32;
    assert_eq!(out, [b"before", &size.to_be_bytes()[..SIZE_BYTES], &header, b"body"].concat());
}

#[test]
fn response_frames() {
    check_response_frame(PRODUCE, 8, 0);
    check_response_frame(PRODUCE, 9, 1);
    check_response_frame(SASL_HANDSHAKE, 1, 0);
    check_response_frame(API_VERSIONS, 0, 0);
    check_response_frame(API_VERSIONS, 4, 0);
}

#[test]
fn an_answer_that_no_size_can_say_is_an_error() {
    let mut out = Vec::new();
    let start = RequestStart { key: PRODUCE, version: 0, correlation_id: 7 };
    let frame = ResponseFrame::begin(&mut out, start);
    assert!(matches!(frame.try_end(&mut out, i32::MAX as usize - 3), Err(FrameError::TooLong { .. })));
    let frame = ResponseFrame::begin(&mut out, start);
    assert_eq!(frame.try_end(&mut out, i32::MAX as usize - 4), Ok(()));
}
