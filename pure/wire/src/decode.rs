//! What generated `read` functions read from.
//!
//! A message has up to a hundred fields, and a `?` at each would be most of its code. So a [`Decoder`] never returns an
//! error: it keeps the first one, and from then on has no bytes left, so that whatever is asked of it next fails at once
//! and reserves nothing. Who made the decoder asks it for the error at the end, and throws the half-read value away.
//!
//! For the same reason its methods fill in places instead of returning values: nothing half-made has to be dropped, and
//! reading a field is one call.

use std::sync::Arc;

use bytes::Bytes;
use ottla_base::Uuid;

use crate::reader::{DecodeError, DecodeErrorKind, Form, Reader, Result, STRING_BYTES_MAX};
use crate::tags::Tags;
use crate::value::Value;

/// Most bytes reserved for an array before its elements have shown up.
const RESERVED_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug)]
pub struct Decoder<'a> {
    reader: Reader<'a>,
    pub(crate) version: i16,
    form: Form,
    failure: Option<DecodeError>,
}

macro_rules! primitives {
    ($($name:ident($type:ty);)*) => {$(
        pub(crate) fn $name(&mut self, place: &mut $type, field: &'static str) {
            let read = self.reader.$name(field);
            *place = self.keep(read);
        }
    )*};
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(reader: Reader<'a>, version: i16, form: Form) -> Decoder<'a> {
        Decoder { reader, version, form, failure: None }
    }

    /// The reader after the message, or the first thing that was wrong with it.
    pub(crate) fn finish(self) -> Result<Reader<'a>> {
        self.failure.map_or(Ok(self.reader), Err)
    }

    primitives! {
        bool(bool);
        i8(i8);
        i16(i16);
        i32(i32);
        i64(i64);
        u16(u16);
        f64(f64);
        uuid(Uuid);
    }

    /// Copied out of the frame, so that it does not pin it; what is not UTF-8 is replaced, as in Kafka.
    pub(crate) fn string(&mut self, place: &mut Arc<str>, field: &'static str) {
        let start = self.reader;
        let read = self.reader.nullable_str_bytes(field, self.form);
        let text = self.keep(read);
        if let Some(text) = self.present(text, start, field) {
            *place = self.copied(text, start, field);
        }
    }

    pub(crate) fn nullable_string(&mut self, place: &mut Option<Arc<str>>, field: &'static str) {
        let start = self.reader;
        let read = self.reader.nullable_str_bytes(field, self.form);
        let text: Option<&[u8]> = self.keep(read);
        *place = text.map(|text| self.copied(text, start, field));
    }

    /// Copied out of the frame as well. Also of type `records`.
    pub(crate) fn bytes(&mut self, place: &mut Bytes, field: &'static str) {
        let start = self.reader;
        let read = self.reader.nullable_bytes_ref(field, self.form);
        let bytes = self.keep(read);
        if let Some(bytes) = self.present(bytes, start, field) {
            *place = Bytes::copy_from_slice(bytes);
        }
    }

    pub(crate) fn nullable_bytes(&mut self, place: &mut Option<Bytes>, field: &'static str) {
        let read = self.reader.nullable_bytes_ref(field, self.form);
        *place = self.keep(read).map(Bytes::copy_from_slice);
    }

    pub(crate) fn array<T: Value>(&mut self, place: &mut Vec<T>, field: &'static str) {
        let len = self.array_len(field);
        self.elements(place, len);
    }

    pub(crate) fn nullable_array<T: Value>(&mut self, place: &mut Option<Vec<T>>, field: &'static str) {
        match self.nullable_array_len(field) {
            Some(len) => self.elements(place.insert(Vec::new()), len),
            None => *place = None,
        }
    }

    fn array_len(&mut self, field: &'static str) -> usize {
        let read = self.reader.array_len(field, self.form);
        self.keep(read)
    }

    fn nullable_array_len(&mut self, field: &'static str) -> Option<usize> {
        let read = self.reader.nullable_array_len(field, self.form);
        self.keep(read)
    }

    fn elements<T: Value>(&mut self, array: &mut Vec<T>, len: usize) {
        array.reserve_exact(len.min(RESERVED_BYTES_MAX / size_of::<T>()));
        while array.len() < len && self.failure.is_none() {
            array.push_mut(T::default()).read(self);
        }
    }

    /// A struct behind an int8, which is negative for null.
    pub(crate) fn nullable_struct<T: Value>(&mut self, place: &mut Option<T>, field: &'static str) {
        let mut mark = 0;
        self.i8(&mut mark, field);
        self.optional(place, mark >= 0);
    }

    /// The tagged kind of it: behind a varint, which is 0 for null.
    pub(crate) fn nullable_tagged_struct<T: Value>(&mut self, place: &mut Option<T>, field: &'static str) {
        let read = self.reader.uvarint(field);
        let mark = self.keep(read);
        self.optional(place, mark != 0);
    }

    fn optional<T: Value>(&mut self, place: &mut Option<T>, is_present: bool) {
        *place = None;
        if is_present {
            place.insert(T::default()).read(self);
        }
    }

    /// The tag section of a struct that has no tagged fields of its own.
    pub(crate) fn unknown_tags(&mut self, tags: &mut Tags) {
        let mut section = self.tag_section();
        while let Some(tag) = self.next_tag(&mut section) {
            self.unknown_tag(tag, tags);
        }
    }

    /// Begins the tag section of a struct: then [`Decoder::next_tag`] until there is none, each followed by one read.
    pub(crate) fn tag_section(&mut self) -> TagSection<'a> {
        let read = match self.form {
            Form::Classic => Ok(0),
            Form::Compact => self.reader.tag_count(),
        };
        TagSection { unread: self.keep(read), least: 0, rest: None }
    }

    pub(crate) fn next_tag(&mut self, section: &mut TagSection<'a>) -> Option<u32> {
        if let Some(rest) = section.rest.take() {
            if self.reader.remaining() != 0 {
                self.fail(self.reader.error("tag", DecodeErrorKind::TagSize));
            }
            if self.failure.is_none() {
                self.reader = rest;
            }
        }
        section.unread = section.unread.checked_sub(1)?;
        let start = self.reader;
        match self.reader.tag() {
            Ok((tag, field)) if tag >= section.least => {
                section.least = tag.saturating_add(1);
                section.rest = Some(std::mem::replace(&mut self.reader, field));
                Some(tag)
            }
            Ok(_) => {
                self.fail(start.error("tag", DecodeErrorKind::TagOrder));
                None
            }
            Err(error) => {
                self.fail(error);
                None
            }
        }
    }

    pub(crate) fn unknown_tag(&mut self, tag: u32, tags: &mut Tags) {
        let read = self.reader.take(self.reader.remaining(), "tag");
        tags.push(tag, Bytes::copy_from_slice(self.keep(read)));
    }

    fn present<T>(&mut self, read: Option<T>, start: Reader<'a>, field: &'static str) -> Option<T> {
        if read.is_none() {
            self.fail(start.error(field, DecodeErrorKind::Null));
        }
        read
    }

    /// One copy, unless something has to be replaced. What stands in its place is longer, and no string that is too long to
    /// be sent on may come of it.
    fn copied(&mut self, text: &[u8], start: Reader<'a>, field: &'static str) -> Arc<str> {
        match std::str::from_utf8(text) {
            Ok("") => Arc::default(),
            Ok(text) => text.into(),
            Err(_) => {
                let replaced = String::from_utf8_lossy(text);
                if replaced.len() > STRING_BYTES_MAX {
                    self.fail(start.error(field, DecodeErrorKind::TooLong));
                    return Arc::default();
                }
                replaced.into()
            }
        }
    }

    #[inline]
    fn keep<T: Default>(&mut self, read: Result<T>) -> T {
        read.unwrap_or_else(|error| {
            self.fail(error);
            T::default()
        })
    }

    #[cold]
    fn fail(&mut self, error: DecodeError) {
        self.failure.get_or_insert(error);
        self.reader = Reader::new(&[]);
    }
}

/// Where a tag section stands.
#[derive(Debug)]
pub(crate) struct TagSection<'a> {
    unread: u32,
    /// What the next tag must be at least: they rise.
    least: u32,
    /// What follows the field being read.
    rest: Option<Reader<'a>>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::messages::{
        BrokerHeartbeatRequest, CreateTopicsRequest, DescribeTopicPartitionsRequest, MetadataRequest,
    };
    use crate::records::BeginTransactionRecord;
    use crate::{Message, Writer};

    fn decode<M: Message>(bytes: &[u8], version: i16) -> Result<M> {
        M::decode(&mut Reader::new(bytes), version)
    }

    fn recode<M: Message>(bytes: &[u8], version: i16) -> Vec<u8> {
        let mut out = Vec::new();
        decode::<M>(bytes, version).unwrap().encode(&mut Writer::new(&mut out), version);
        out
    }

    fn check<M: Message + PartialEq + std::fmt::Debug>(
        bytes: &[u8],
        version: i16,
        expected: (&'static str, usize, DecodeErrorKind),
    ) {
        let (field, offset, kind) = expected;
        assert_eq!(decode::<M>(bytes, version), Err(DecodeError { field, offset, kind }));
    }

    #[test]
    fn the_first_error_is_told() {
        // One topic "t" whose partition count is cut off: all that follows is missing too.
        let cut = [0, 0, 0, 1, 0, 1, b't', 0, 0, 0];
        check::<CreateTopicsRequest>(&cut, 4, ("num_partitions", 7, DecodeErrorKind::Truncated));
        check::<CreateTopicsRequest>(&[0], 5, ("topics", 0, DecodeErrorKind::Null));
        check::<CreateTopicsRequest>(&cut, 8, ("version", 0, DecodeErrorKind::Version(8)));
    }

    #[test]
    fn what_follows_is_left_unread() {
        let bytes = [0xff, 0xff, 0xff, 0xff, 9];
        let mut reader = Reader::new(&bytes);
        MetadataRequest::decode(&mut reader, 1).unwrap();
        assert_eq!(reader.remaining(), 1);
    }

    #[test]
    fn null_is_for_versions_that_have_it() {
        let null = [0xff; 4];
        check::<MetadataRequest>(&null, 0, ("topics", 0, DecodeErrorKind::Null));
        assert_eq!(decode::<MetadataRequest>(&null, 1).unwrap().topics, None);
        let mut out = Vec::new();
        MetadataRequest { topics: None, ..Default::default() }.encode(&mut Writer::new(&mut out), 0);
        assert_eq!(out, [0; 4]);
    }

    #[test]
    fn a_struct_is_null_below_zero() {
        for (mark, is_null) in [(0xff, true), (0x80, true), (0, false), (1, false)] {
            let bytes = [&[1, 0, 0, 0, 9, mark][..], &[2, b't', 0, 0, 0, 7, 0, 0]].concat();
            let request = decode::<DescribeTopicPartitionsRequest>(&bytes, 0).map(|request| request.cursor.is_none());
            // What is not read as a cursor is a tag section: of two fields.
            assert_eq!(request.ok(), if is_null { None } else { Some(false) }, "{mark}");
        }
    }

    #[test]
    fn what_is_not_utf8_is_replaced() {
        let request = decode::<MetadataRequest>(&[0, 0, 0, 1, 0, 2, 0xff, b'a'], 0).unwrap();
        assert_eq!(request.topics.unwrap()[0].name.as_deref(), Some("\u{fffd}a"));
    }

    #[test]
    fn tagged_fields_have_their_size_and_order() {
        let record = decode::<BeginTransactionRecord>(&[1, 0, 2, 2, b'a'], 0).unwrap();
        assert_eq!(record.name.as_deref(), Some("a"));
        check::<BeginTransactionRecord>(&[1, 0, 3, 2, b'a', 0], 0, ("tag", 5, DecodeErrorKind::TagSize));
        check::<BeginTransactionRecord>(&[1, 0, 1, 2, b'a'], 0, ("name", 4, DecodeErrorKind::Truncated));
        check::<BeginTransactionRecord>(&[2, 5, 0, 5, 0], 0, ("tag", 3, DecodeErrorKind::TagOrder));
    }

    #[test]
    fn unknown_tagged_fields_are_kept() {
        // Tag 1, cordoned_log_dirs, is new in version 2; tag 9 is none of any version.
        let bytes = [&[0; 22][..], &[2, 1, 1, 0, 9, 2, 7, 7]].concat();
        let old = decode::<BrokerHeartbeatRequest>(&bytes, 1).unwrap();
        assert_eq!(old.unknown_tags.as_slice().len(), 2);
        let new = decode::<BrokerHeartbeatRequest>(&bytes, 2).unwrap();
        assert_eq!(new.unknown_tags.as_slice().len(), 1);
        assert_eq!(recode::<BrokerHeartbeatRequest>(&bytes, 1), bytes);
    }
}
