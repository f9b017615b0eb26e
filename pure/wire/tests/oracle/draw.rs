//! Draws valid bytes of a message at a version from its table.

use ottla_wire::{Form, Writer};
use proptest::prelude::Rng;
use proptest::test_runner::{RngAlgorithm, TestRng};

use crate::tables::{Field, Table};

pub struct Draw {
    rng: TestRng,
}

/// The message whose bytes are being drawn.
#[derive(Clone, Copy)]
struct Context<'a> {
    table: &'a Table,
    version: i16,
    form: Form,
}

impl Draw {
    pub fn new(seed: u8) -> Draw {
        Draw { rng: TestRng::from_seed(RngAlgorithm::ChaCha, &[seed; 32]) }
    }

    pub fn below(&mut self, end: usize) -> usize {
        self.rng.next_u32() as usize % end
    }

    pub fn i32(&mut self) -> i32 {
        self.number() as i32
    }

    pub fn message(&mut self, table: &Table, version: i16) -> Vec<u8> {
        let mut out = Vec::new();
        let context = Context { table, version, form: Form::of(version, table.flexible_from) };
        self.fields(context, "", &mut Writer::new(&mut out));
        out
    }

    fn fields(&mut self, context: Context<'_>, parent: &str, writer: &mut Writer<'_>) {
        let mut tagged = Vec::new();
        for field in context.fields(parent) {
            match field.tag {
                None => self.value(context, field, writer),
                Some(tag) => {
                    let bytes = bytes_of(|writer| self.value(context, field, writer));
                    // A default is never written.
                    if self.below(2) == 0 && bytes != bytes_of(|writer| default(context, field, writer)) {
                        tagged.push((tag, bytes));
                    }
                }
            }
        }
        if context.form == Form::Compact {
            tagged.sort_by_key(|(tag, _)| *tag);
            for tag in [100, 20_000] {
                if self.below(8) == 0 {
                    tagged.push((tag, self.bytes()));
                }
            }
            write_tags(&tagged, writer);
        }
    }

    fn value(&mut self, context: Context<'_>, field: &Field, writer: &mut Writer<'_>) {
        if context.may_be_null(field) && self.below(4) == 0 {
            write_null(context, field, writer);
        } else if field.is_array {
            let len = self.len();
            writer.array_len(len, context.form);
            for _ in 0..len {
                self.element(context, field, writer);
            }
        } else {
            write_present_mark(context, field, writer);
            self.element(context, field, writer);
        }
    }

    fn element(&mut self, context: Context<'_>, field: &Field, writer: &mut Writer<'_>) {
        match field.element.as_str() {
            "bool" => writer.bool(self.below(2) == 0),
            "int8" => writer.i8(self.number() as i8),
            "int16" => writer.i16(self.number() as i16),
            "int32" => writer.i32(self.number() as i32),
            "int64" => writer.i64(self.number()),
            "uint16" => writer.u16(self.number() as u16),
            "float64" => writer.f64(self.number() as f64 / 3.0),
            "uuid" => [self.number(), self.number()].into_iter().for_each(|half| writer.i64(half)),
            "string" => writer.str(&self.text(), context.form),
            "bytes" | "records" => writer.bytes(&self.bytes(), context.form),
            _ => self.fields(context, &field.path, writer),
        }
    }

    /// The awkward ones often.
    fn number(&mut self) -> i64 {
        match self.below(6) {
            0 => -1,
            1 => 0,
            2 => i64::MAX,
            3 => i64::MIN,
            _ => self.rng.next_u64() as i64,
        }
    }

    fn len(&mut self) -> usize {
        if self.below(200) == 0 { 130 } else { self.below(3) }
    }

    fn text(&mut self) -> String {
        let len = if self.below(50) == 0 { 200 } else { self.below(6) };
        (0..len).map(|_| ['a', 'Z', '.', '-', 'é', '漢', '\0'][self.below(7)]).collect()
    }

    fn bytes(&mut self) -> Vec<u8> {
        let len = if self.below(50) == 0 { 300 } else { self.below(6) };
        (0..len).map(|_| self.rng.next_u32() as u8).collect()
    }
}

impl<'a> Context<'a> {
    fn fields(self, parent: &str) -> impl Iterator<Item = &'a Field> {
        let belongs = move |field: &&Field| field.parent == parent && field.versions.contains(&self.version);
        self.table.fields.iter().filter(belongs).collect::<Vec<_>>().into_iter()
    }

    fn may_be_null(self, field: &Field) -> bool {
        field.nullable.as_ref().is_some_and(|nullable| nullable.contains(&self.version))
    }
}

/// What Kafka has in a field until somebody sets it.
fn default(context: Context<'_>, field: &Field, writer: &mut Writer<'_>) {
    if field.default == "null" {
        return write_null(context, field, writer);
    }
    if field.is_array {
        return writer.array_len(0, context.form);
    }
    write_present_mark(context, field, writer);
    let number: i64 = match field.default.as_str() {
        "true" => 1,
        text => text.parse().unwrap_or(0),
    };
    match field.element.as_str() {
        "bool" | "int8" => writer.i8(number as i8),
        "int16" | "uint16" => writer.i16(number as i16),
        "int32" => writer.i32(number as i32),
        "int64" | "float64" => writer.i64(number),
        "uuid" => writer.raw(&[0; 16]),
        "string" => writer.str("", context.form),
        "bytes" | "records" => writer.bytes(&[], context.form),
        _ => {
            context.fields(&field.path).filter(|field| field.tag.is_none()).for_each(|f| default(context, f, writer));
            if context.form == Form::Compact {
                write_tags(&[], writer);
            }
        }
    }
}

fn write_null(context: Context<'_>, field: &Field, writer: &mut Writer<'_>) {
    match (field.element.as_str(), field.is_array) {
        ("string", false) => writer.nullable_str(None, context.form),
        (struct_name, false) if struct_name.starts_with(char::is_uppercase) => {
            writer.i8(if field.tag.is_some() { 0 } else { -1 });
        }
        _ => writer.null(context.form),
    }
}

/// A struct that may be null says that it is not.
fn write_present_mark(context: Context<'_>, field: &Field, writer: &mut Writer<'_>) {
    if context.may_be_null(field) && field.element.starts_with(char::is_uppercase) {
        writer.i8(1);
    }
}

fn write_tags(tags: &[(u32, Vec<u8>)], writer: &mut Writer<'_>) {
    writer.uvarint(tags.len() as u32);
    for (tag, value) in tags {
        writer.uvarint(*tag);
        writer.uvarint(value.len() as u32);
        writer.raw(value);
    }
}

fn bytes_of(write: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = Vec::new();
    write(&mut Writer::new(&mut out));
    out
}
