//! Every message at every version, against tables and against another implementation.
//!
//! Values of 200 structs would need 200 drawing functions, and each as many conversions into the oracle's structs. But
//! equal bytes are all that matters: [`draw`] makes valid bytes straight from the tables of `schema/`, knowing nothing of
//! the generated code; ours and the oracle must read them, and write the same bytes again. For records that no client
//! library has, the tables are the only witness; `tests/kafka.rs` has bytes that Kafka wrote.

mod draw;
mod heap;
mod messages;
mod tables;

use std::collections::BTreeMap;

use bytes::Bytes;
use kafka_wire_core::{ApiVersion, DecodeLimits, Decoder, KafkaDecode, KafkaEncode};
use ottla_wire::{Message, Reader, Writer};

use draw::Draw;
use messages::MESSAGES;
use tables::Tables;

/// Reads bytes as a message of a version, and writes it again.
type Recode = fn(&[u8], i16) -> Result<Vec<u8>, String>;

#[derive(Debug)]
pub struct Entry {
    name: &'static str,
    ours: Coder,
    oracle: Option<Coder>,
}

/// What an implementation does with a message.
#[derive(Debug)]
struct Coder {
    recode: Recode,
    /// The bytes of a message nobody has set a field of.
    default: fn(i16) -> Vec<u8>,
}

const fn entry<M: Message>(name: &'static str) -> Entry {
    Entry { name, ours: Coder { recode: recode::<M>, default: default::<M> }, oracle: None }
}

const fn entry_with_oracle<M: Message, O: KafkaDecode + KafkaEncode + Default>(name: &'static str) -> Entry {
    let oracle = Coder { recode: recode_by_oracle::<O>, default: default_by_oracle::<O> };
    Entry { oracle: Some(oracle), ..entry::<M>(name) }
}

fn recode<M: Message>(bytes: &[u8], version: i16) -> Result<Vec<u8>, String> {
    let mut reader = Reader::new(bytes);
    let message = M::decode(&mut reader, version).map_err(|e| e.to_string())?;
    let read = reader.position();
    let mut out = Vec::new();
    message.encode(&mut Writer::new(&mut out), version);
    // Whoever reads bytes that are longer than the message leaves the rest to others.
    out.extend_from_slice(&bytes[read..]);
    Ok(out)
}

fn recode_by_oracle<O: KafkaDecode + KafkaEncode>(bytes: &[u8], version: i16) -> Result<Vec<u8>, String> {
    let version = ApiVersion::new(version);
    let mut decoder =
        Decoder::new(Bytes::copy_from_slice(bytes), DecodeLimits::default()).map_err(|e| e.to_string())?;
    let message = O::decode(&mut decoder, version).map_err(|e| e.to_string())?;
    decoder.finish().map_err(|e| e.to_string())?;
    Ok(message.encode_to_bytes(version).map_err(|e| e.to_string())?.to_vec())
}

fn default<M: Message>(version: i16) -> Vec<u8> {
    let mut out = Vec::new();
    M::default().encode(&mut Writer::new(&mut out), version);
    out
}

fn default_by_oracle<O: KafkaEncode + Default>(version: i16) -> Vec<u8> {
    O::default().encode_to_bytes(ApiVersion::new(version)).unwrap().to_vec()
}

/// Calls `check` with bytes of every message at every version, `rounds` times.
fn each_drawn(seed: u8, rounds: usize, mut check: impl FnMut(&Entry, i16, &[u8], &mut Draw)) {
    let tables = Tables::read();
    let mut draw = Draw::new(seed);
    for entry in MESSAGES {
        let table = tables.message(entry.name);
        for version in table.versions.clone() {
            for _ in 0..rounds {
                let bytes = draw.message(table, version);
                check(entry, version, &bytes, &mut draw);
            }
        }
    }
}

#[test]
fn drawn_bytes_survive_reading_and_writing() {
    let mut checked = BTreeMap::new();
    each_drawn(1, 40, |entry, version, bytes, _| {
        assert_eq!((entry.ours.recode)(bytes, version).as_deref(), Ok(bytes), "ours: {} version {version}", entry.name);
        if let Some(oracle) = &entry.oracle {
            assert_eq!(
                (oracle.recode)(bytes, version).as_deref(),
                Ok(bytes),
                "oracle: {} version {version}",
                entry.name
            );
        }
        *checked.entry(entry.oracle.is_some()).or_insert(0) += 1;
    });
    // All versions of all messages: without and with an oracle.
    assert_eq!(checked, BTreeMap::from([(false, 40 * 96), (true, 40 * 565)]));
}

#[test]
fn defaults_are_those_of_the_oracle() {
    let tables = Tables::read();
    for entry in MESSAGES {
        let Some(oracle) = &entry.oracle else { continue };
        for version in tables.message(entry.name).versions.clone() {
            let (ours, theirs) = ((entry.ours.default)(version), (oracle.default)(version));
            assert_eq!(ours, theirs, "{} version {version}", entry.name);
        }
    }
}

/// Bytes nobody meant well. They may be refused or read as something else, but neither panic nor cost much more memory
/// than they are long.
#[test]
fn mutated_bytes_do_no_harm() {
    let mut read = 0;
    each_drawn(2, 8, |entry, version, bytes, draw| {
        for _ in 0..10 {
            let bytes = mutate(bytes, draw);
            let before = heap::start();
            let recoded = (entry.ours.recode)(&bytes, version);
            let peak = heap::peak_since(before);
            assert!(peak <= 64 * 1024 + 100 * bytes.len(), "{} version {version}: {peak} bytes", entry.name);
            read += usize::from(recoded.is_ok());
        }
    });
    assert!(read > 1000, "only {read} were read");
}

/// An array that claims as many elements as there are bytes, each as short as can be, wherever an array might begin.
/// What is made of them is larger than they were, but in proportion; what is only claimed costs nothing.
#[test]
fn short_elements_cost_little() {
    each_drawn(3, 1, |entry, version, bytes, draw| {
        for start in 0..bytes.len() {
            let count = [[0, 0, 0x08, 0], [0x81, 0x10, 0, 0]][draw.below(2)];
            let hostile = [&bytes[..start], &count, &[draw.below(3) as u8; 2048]].concat();
            let before = heap::start();
            // Whether it was read or refused is all the same.
            _ = (entry.ours.recode)(&hostile, version);
            let peak = heap::peak_since(before);
            assert!(peak <= 64 * hostile.len(), "{} version {version}: {peak} bytes", entry.name);
        }
    });
}

fn mutate(bytes: &[u8], draw: &mut Draw) -> Vec<u8> {
    let mut mutated = bytes.to_vec();
    if mutated.is_empty() {
        return mutated;
    }
    let at = draw.below(mutated.len());
    match draw.below(4) {
        0 => mutated[at] ^= 1 << draw.below(8),
        1 => mutated.truncate(at),
        // A length from another world, in each form.
        2 => _ = mutated.splice(at..(at + 4).min(bytes.len()), draw.i32().to_be_bytes()),
        _ => _ = mutated.splice(at..at + 1, [0xff, 0xff, 0xff, draw.below(256) as u8, 0x07]),
    }
    mutated
}
