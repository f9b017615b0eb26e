//! What generated `write` functions write to: a [`Writer`] that knows the version and with it the form of lengths.

use ottla_base::Uuid;

use crate::reader::Form;
use crate::tags::Tags;
use crate::value::Value;
use crate::writer::Writer;

#[derive(Debug)]
pub struct Encoder<'w, 'out> {
    writer: &'w mut Writer<'out>,
    pub(crate) version: i16,
    form: Form,
}

macro_rules! primitives {
    ($($name:ident($type:ty);)*) => {$(
        pub(crate) fn $name(&mut self, value: $type) {
            self.writer.$name(value);
        }
    )*};
}

impl<'w, 'out> Encoder<'w, 'out> {
    pub(crate) fn new(writer: &'w mut Writer<'out>, version: i16, form: Form) -> Encoder<'w, 'out> {
        Encoder { writer, version, form }
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

    pub(crate) fn string(&mut self, text: &str) {
        self.writer.str(text, self.form);
    }

    pub(crate) fn nullable_string(&mut self, text: Option<&str>) {
        self.writer.nullable_str(text, self.form);
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.writer.bytes(bytes, self.form);
    }

    pub(crate) fn nullable_bytes(&mut self, bytes: Option<&[u8]>) {
        self.writer.nullable_bytes(bytes, self.form);
    }

    pub(crate) fn array<T: Value>(&mut self, array: &[T]) {
        self.writer.array_len(array.len(), self.form);
        // An iterator would be four more functions for each of three hundred types.
        let mut next = 0;
        while next < array.len() {
            array[next].write(self);
            next += 1;
        }
    }

    pub(crate) fn nullable_array<T: Value>(&mut self, array: Option<&[T]>) {
        match array {
            Some(array) => self.array(array),
            None => self.writer.null(self.form),
        }
    }

    pub(crate) fn nullable_struct<T: Value>(&mut self, value: Option<&T>) {
        self.i8(if value.is_some() { 1 } else { -1 });
        if let Some(value) = value {
            value.write(self);
        }
    }

    pub(crate) fn nullable_tagged_struct<T: Value>(&mut self, value: Option<&T>) {
        self.writer.uvarint(u32::from(value.is_some()));
        if let Some(value) = value {
            value.write(self);
        }
    }

    /// Begins the tag section of a struct. Its fields are written one by one, each followed by [`TagSection::add`].
    pub(crate) fn tag_section(&self) -> TagSection {
        let start = self.writer.position();
        TagSection { start, field_start: start, count: 0 }
    }

    /// The tag section of a struct none of whose own tagged fields is written.
    pub(crate) fn unknown_tags(&mut self, unknown: &Tags) {
        self.tag_section().end(self, unknown);
    }
}

/// A tag section being written: the number of fields and the size of each are known only when they are there.
#[derive(Debug)]
pub(crate) struct TagSection {
    start: usize,
    field_start: usize,
    count: u32,
}

impl TagSection {
    /// What was written since the last call is the field of this tag.
    pub(crate) fn add(&mut self, e: &mut Encoder<'_, '_>, tag: u32) {
        let size = (e.writer.position() - self.field_start) as u32;
        e.writer.insert_uvarints(self.field_start, &[tag, size]);
        self.field_start = e.writer.position();
        self.count += 1;
    }

    /// The unknown fields come last: their tags are newer than those of the schema.
    pub(crate) fn end(mut self, e: &mut Encoder<'_, '_>, unknown: &Tags) {
        if e.form == Form::Classic {
            return;
        }
        for (tag, value) in unknown.as_slice() {
            e.writer.raw(value);
            self.add(e, *tag);
        }
        e.writer.insert_uvarints(self.start, &[self.count]);
    }
}
