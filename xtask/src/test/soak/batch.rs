//! Record batches (v2) for the soak: made here, and seen again to the byte.
//!
//! `ottla-records` makes them too; but then a fault in it would be made and found right by the same code, and nothing of
//! the tree could be mended by an xtask that needs the tree to compile.

const HEADER_BYTES: usize = 61;
const CRC_FROM: usize = 21;
/// From here on a batch is its producer's. What is before it is the leader's: base offset, length, leader epoch.
const STAMP_BYTES: usize = 16;

/// So many records with this value; no keys, headers, compression or producer id.
pub fn build(value: &[u8], records: usize, timestamp_ms: i64) -> Vec<u8> {
    let mut batch = vec![0; HEADER_BYTES];
    for delta in 0..records {
        // Attributes, timestamp delta, offset delta, null key, value, no headers.
        let mut front = vec![0, 0];
        put_varint(&mut front, delta as i64);
        put_varint(&mut front, -1);
        put_varint(&mut front, value.len() as i64);
        put_varint(&mut batch, (front.len() + value.len() + 1) as i64);
        batch.extend(front);
        batch.extend_from_slice(value);
        batch.push(0);
    }
    let length = batch.len() as i32 - 12;
    put(&mut batch, 8, &length.to_be_bytes());
    put(&mut batch, 12, &(-1_i32).to_be_bytes()); // leader epoch
    put(&mut batch, 16, &[2]); // magic
    put(&mut batch, 23, &(records as i32 - 1).to_be_bytes()); // last offset delta
    put(&mut batch, 27, &timestamp_ms.to_be_bytes()); // of the first record
    put(&mut batch, 35, &timestamp_ms.to_be_bytes()); // the largest
    put(&mut batch, 43, &[0xff; 8 + 2 + 4]); // producer id, epoch, sequence
    put(&mut batch, 57, &(records as i32).to_be_bytes());
    let crc = crc32c(&batch[CRC_FROM..]);
    put(&mut batch, CRC_FROM - 4, &crc.to_be_bytes());
    batch
}

/// The whole batches of a fetch, each with its base offset and what its producer wrote of it.
pub fn read(mut fetched: &[u8]) -> Vec<(i64, &[u8])> {
    let mut batches = Vec::new();
    while let Some((head, _)) = fetched.split_first_chunk::<12>() {
        let [offset @ .., _, _, _, _] = *head;
        let [_, _, _, _, _, _, _, _, length @ ..] = *head;
        let Some((batch, rest)) = fetched.split_at_checked(12 + u32::from_be_bytes(length) as usize) else { break };
        batches.push((i64::from_be_bytes(offset), own(batch)));
        fetched = rest;
    }
    batches
}

/// What its producer wrote of a batch, and nobody changes.
pub fn own(batch: &[u8]) -> &[u8] {
    batch.get(STAMP_BYTES..).unwrap_or_default()
}

fn put(batch: &mut [u8], at: usize, bytes: &[u8]) {
    batch[at..at + bytes.len()].copy_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn crc32c(bytes: &[u8]) -> u32 {
    const TABLE: [u32; 256] = table();
    !bytes.iter().fold(!0, |crc, byte| crc >> 8 ^ TABLE[(crc as u8 ^ byte) as usize])
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = (byte as u32, 0);
        while bit < 8 {
            crc = crc >> 1 ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn batches_are_read_again() {
        let (one, two) = (build(b"one", 1, 1), build(b"two", 300, 2));
        let mut fetched = [&one[..], &two[..], &one[..20]].concat();
        put(&mut fetched, one.len(), &7_i64.to_be_bytes());
        assert_eq!(read(&fetched), [(0, own(&one)), (7, own(&two))], "and not the one that is cut off");
        assert_eq!(read(&[]), []);
    }
}
