//! Batches made by hand, right or wrong, independently of the builder.

use ottla_records::Codec;

/// What a batch says; whatever is not given is what would be right.
#[derive(Clone, Debug, Default)]
pub struct Raw {
    pub body: Vec<u8>,
    pub count: i32,
    pub attributes: i16,
    pub base_offset: i64,
    pub magic: Option<u8>,
    pub batch_length: Option<i32>,
    pub crc: Option<u32>,
    pub last_offset_delta: Option<i32>,
    pub base_timestamp: i64,
    pub max_timestamp: Option<i64>,
    /// Producer id, epoch, sequence.
    pub producer: Option<(i64, i16, i32)>,
}

impl Raw {
    pub fn bytes(&self) -> Vec<u8> {
        let (id, epoch, sequence) = self.producer.unwrap_or((-1, -1, -1));
        let mut covered = Vec::new();
        covered.extend(self.attributes.to_be_bytes());
        covered.extend(self.last_offset_delta.unwrap_or(self.count.wrapping_sub(1)).to_be_bytes());
        covered.extend(self.base_timestamp.to_be_bytes());
        covered.extend(self.max_timestamp.unwrap_or(self.base_timestamp).to_be_bytes());
        covered.extend(id.to_be_bytes());
        covered.extend(epoch.to_be_bytes());
        covered.extend(sequence.to_be_bytes());
        covered.extend(self.count.to_be_bytes());
        covered.extend(&self.body);
        let mut batch = Vec::new();
        batch.extend(self.base_offset.to_be_bytes());
        batch.extend(self.batch_length.unwrap_or(covered.len() as i32 + 9).to_be_bytes());
        batch.extend(0i32.to_be_bytes());
        batch.push(self.magic.unwrap_or(2));
        batch.extend(self.crc.unwrap_or_else(|| crc32c::crc32c(&covered)).to_be_bytes());
        batch.extend(covered);
        batch
    }
}

/// A plain batch of these records.
pub fn plain(body: &[u8], count: i32) -> Raw {
    Raw { body: body.to_vec(), count, ..Raw::default() }
}

/// A batch of this packed body.
pub fn packed(codec: Codec, body: &[u8], count: i32) -> Raw {
    Raw { attributes: i16::from(codec.id()), ..plain(body, count) }
}

/// The fields of a record; lengths are what would be right unless given.
#[derive(Clone, Copy, Debug, Default)]
pub struct RawRecord<'a> {
    pub offset_delta: i64,
    pub timestamp_delta: i64,
    pub key: Option<&'a [u8]>,
    pub value: &'a [u8],
    pub value_length: Option<i64>,
    /// The number of headers and they themselves.
    pub headers: Option<&'a [u8]>,
    /// Added to the true length.
    pub length_error: i64,
}

impl RawRecord<'_> {
    pub fn bytes(&self) -> Vec<u8> {
        let mut fields = vec![0];
        fields.extend(varint(self.timestamp_delta));
        fields.extend(varint(self.offset_delta));
        fields.extend(varint(self.key.map_or(-1, |key| key.len() as i64)));
        fields.extend(self.key.unwrap_or_default());
        fields.extend(varint(self.value_length.unwrap_or(self.value.len() as i64)));
        fields.extend(self.value);
        fields.extend(self.headers.unwrap_or(&[0]));
        let mut record = varint(fields.len() as i64 + self.length_error);
        record.extend(fields);
        record
    }
}

/// A record with a value of one byte.
pub fn record(offset_delta: i64) -> Vec<u8> {
    RawRecord { offset_delta, value: b"v", ..RawRecord::default() }.bytes()
}

pub fn varint(value: i64) -> Vec<u8> {
    uvarint((value << 1 ^ value >> 63) as u64)
}

pub fn uvarint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
