//! The view of a Produce request.

use std::ops::Range;

use super::{FLEXIBLE_FROM, VERSIONS};
use crate::reader::{DecodeError, DecodeErrorKind, Reader};
use crate::topic;
use crate::view::{CHECKED, Layout, nullable_text};

/// A Produce request whose names and records are still in the frame.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub transactional_id: Option<&'a str>,
    /// 0, 1 or -1 for all; what else a client sends stands here too.
    pub acks: i16,
    pub timeout_ms: i32,
    pub topics: Topics<'a>,
}

pub type Topics<'a> = topic::Topics<'a, Partition<'a>>;
pub type Topic<'a> = topic::Topic<'a, Partition<'a>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition<'a> {
    pub index: i32,
    pub records: Option<Records<'a>>,
}

/// What a client sends to one partition: record batches, if it is honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Records<'a> {
    pub bytes: &'a [u8],
    /// Where they begin, counted from the first byte the reader was given.
    pub position: usize,
}

impl Records<'_> {
    /// Where they stand in the bytes the reader was given.
    pub fn range(&self) -> Range<usize> {
        self.position..self.position + self.bytes.len()
    }
}

impl<'a> Request<'a> {
    /// Reads the body of a request, all of it: one that does not hold together yields no partition at all.
    #[inline(always)]
    pub fn decode(reader: &mut Reader<'a>, version: i16) -> Result<Request<'a>, DecodeError> {
        if !VERSIONS.contains(&version) {
            return Err(reader.error("version", DecodeErrorKind::Version(version)));
        }
        let layout = Layout::new(version, FLEXIBLE_FROM);
        let request = Request {
            transactional_id: nullable_text(reader, "transactional_id", layout.form)?,
            acks: reader.i16("acks")?,
            timeout_ms: reader.i32("timeout_ms")?,
            topics: Topics::decode(reader, "topic_data", layout)?,
        };
        layout.skip_tags(reader)?;
        Ok(request)
    }
}

impl<'a> topic::Partition<'a> for Partition<'a> {
    #[inline]
    fn check(reader: &mut Reader<'a>, layout: Layout) -> Result<(), DecodeError> {
        reader.i32("index")?;
        reader.nullable_bytes_ref("records", layout.form)?;
        layout.skip_tags(reader)
    }

    #[inline]
    fn read(reader: &mut Reader<'a>, layout: Layout) -> Partition<'a> {
        let index = reader.i32("index").expect(CHECKED);
        let bytes = reader.nullable_bytes_ref("records", layout.form).expect(CHECKED);
        let records = bytes.map(|bytes| Records { bytes, position: reader.position() - bytes.len() });
        layout.skip_tags(reader).expect(CHECKED);
        Partition { index, records }
    }
}
