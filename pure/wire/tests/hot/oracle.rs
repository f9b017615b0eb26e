//! The oracle's messages as bytes, and our values as the oracle's.

use bytes::Bytes;
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, KafkaEncode, StrBytes, Uuid};
use ottla_wire::{NodeEndpoint, TopicKey};

pub fn encode(message: &impl KafkaEncode, version: i16) -> Vec<u8> {
    message.encode_to_bytes(ApiVersion::new(version)).unwrap().to_vec()
}

pub fn decode<M: KafkaDecode>(bytes: &[u8], version: i16) -> M {
    let mut decoder = Decoder::new(Bytes::copy_from_slice(bytes), DecodeLimits::default()).unwrap();
    let message = M::decode(&mut decoder, ApiVersion::new(version)).unwrap();
    decoder.finish().unwrap();
    message
}

/// The name and the id that the oracle's structs have side by side.
pub fn name_and_id(key: TopicKey<'_>) -> (StrBytes, Uuid) {
    match key {
        TopicKey::Name(name) => (name.into(), Uuid::ZERO),
        TopicKey::Id(id) => (StrBytes::default(), Uuid::from_bytes(id.0)),
    }
}

pub fn key(name: &StrBytes, id: Uuid, version: i16) -> TopicKey<'_> {
    if version >= 13 { TopicKey::Id(ottla_base::Uuid(id.to_bytes())) } else { TopicKey::Name(name) }
}

pub fn endpoint<'a>(node_id: i32, host: &'a StrBytes, port: i32, rack: &'a Option<StrBytes>) -> NodeEndpoint<'a> {
    NodeEndpoint { node_id: ottla_base::NodeId(node_id), host, port, rack: rack.as_deref() }
}

/// Checks that neither a cut nor a changed byte makes `walk` panic, and that it refuses whatever is cut.
pub fn check_hostile<E: std::fmt::Debug>(
    bytes: &[u8],
    bits: &mut super::dice::Dice,
    walk: impl Fn(&[u8]) -> Result<(), E>,
) {
    for len in 0..bytes.len() {
        assert!(walk(&bytes[..len]).is_err(), "{len} of {} bytes", bytes.len());
    }
    let mut changed = bytes.to_vec();
    for _ in 0..200 {
        changed.copy_from_slice(bytes);
        for _ in 0..=bits.below(3) {
            let at = bits.below(bytes.len());
            changed[at] = [0, 0x7f, 0x80, 0xff, bits.bits() as u8][bits.below(5)];
        }
        // An error is as good as a view: whoever draws the bytes decides.
        let _ = walk(&changed);
    }
}
