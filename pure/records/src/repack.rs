//! The records of a batch, packed in another way: for topics whose `compression.type` is not their producers' choice.
//!
//! Only the packing changes: offsets, times and the bytes of the records stay, so they need not be looked at.

use crate::build::seal;
use crate::codec::{Codec, Damage, Scratch};
use crate::header::{BatchHeader, HEADER_BYTES};

/// How records are to be packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packing {
    pub codec: Codec,
    /// Of gzip, lz4 or zstd, where it is not their default.
    pub level: Option<i32>,
}

/// A batch that [`crate::check`] has found good, which gave `header` for it, in another packing. The header comes back as
/// it is then.
///
/// # Errors
/// [`Damage::Memory`] if its records take more than `unpacked_bytes_max`.
pub fn repack(
    batch: &[u8],
    header: &BatchHeader,
    (packing, unpacked_bytes_max): (Packing, usize),
    scratch: &mut Scratch,
) -> Result<(Vec<u8>, BatchHeader), Damage> {
    let packed = &batch[HEADER_BYTES..];
    let mut out = vec![0; HEADER_BYTES];
    match header.attributes.codec().ok_or(Damage::Garbled)? {
        Codec::None => packing.codec.pack_at(packed, packing.level, &mut out),
        codec => {
            scratch.unpack_whole(codec, packed, unpacked_bytes_max)?;
            packing.codec.pack_at(&scratch.whole, packing.level, &mut out);
            scratch.trim();
        }
    }
    let mut header = BatchHeader { attributes: header.attributes.with_codec(packing.codec), ..*header };
    seal(&mut header, &mut out);
    Ok((out, header))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Attributes, BatchBuilder, BatchOptions, NewRecord, records};

    const CODECS: [Codec; 5] = [Codec::None, Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd];

    fn batch(codec: Codec) -> Vec<u8> {
        let attributes = Attributes::default().with_codec(codec);
        let mut batch = BatchBuilder::new(BatchOptions { attributes, producer_id: 7, ..BatchOptions::default() });
        for n in 0..100 {
            batch.push(&NewRecord { timestamp: 1_000 + n, value: Some(&[n as u8; 100]), ..NewRecord::default() });
        }
        batch.finish()
    }

    fn values(batch: &[u8]) -> Vec<(i64, Vec<u8>)> {
        let mut scratch = Scratch::new();
        let records = records(batch, 1 << 20, &mut scratch).unwrap().map(Result::unwrap);
        records.map(|record| (record.timestamp, record.value.unwrap().to_vec())).collect()
    }

    #[test]
    fn the_records_are_the_same_in_every_packing() {
        let expected = values(&batch(Codec::None));
        for from in CODECS {
            for codec in CODECS {
                let batch = batch(from);
                let header = BatchHeader::parse(&batch).unwrap();
                let packing = Packing { codec, level: None };
                let (packed, told) = repack(&batch, &header, (packing, 1 << 20), &mut Scratch::new()).unwrap();
                let found = BatchHeader::parse(&packed).unwrap();
                assert_eq!(found, told);
                assert_eq!(found.crc, crate::crc_of(&packed));
                assert_eq!((found.producer_id, found.attributes.codec()), (7, Some(codec)));
                assert_eq!(values(&packed), expected, "{from:?} to {codec:?}");
            }
        }
    }

    /// The numbers are those of Kafka's own classes.
    #[test]
    fn levels_of_lz4_search_as_much_as_kafkas() {
        let text: String = (0..20_000).map(|i| format!("{} ", i * 7919 % 10_007)).collect();
        let sizes = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 17].map(|level| {
            let mut packed = Vec::new();
            Codec::Lz4.pack_at(text.as_bytes(), Some(level), &mut packed);
            let mut scratch = Scratch::new();
            scratch.unpack_whole(Codec::Lz4, &packed, 1 << 20).unwrap();
            assert!(scratch.whole == text.as_bytes(), "{level}");
            packed.len()
        });
        assert_eq!(sizes, [65154, 65154, 63326, 62640, 62466, 62462, 62462, 62462, 65932, 62447, 62447, 62447, 62447]);
    }

    #[test]
    fn so_much_may_be_unpacked() {
        let batch = batch(Codec::Gzip);
        let header = BatchHeader::parse(&batch).unwrap();
        let packing = Packing { codec: Codec::Zstd, level: Some(19) };
        assert!(repack(&batch, &header, (packing, 20_000), &mut Scratch::new()).is_ok());
        assert_eq!(repack(&batch, &header, (packing, 9_000), &mut Scratch::new()), Err(Damage::Memory));
    }
}
