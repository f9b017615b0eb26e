//! Reading without copying, for the requests that are read by hand.
//!
//! What cannot be told from the bytes themselves, the version and the form it brings, goes along as a [`Layout`].

use crate::reader::{DecodeError, DecodeErrorKind, Form, Reader};

/// Why reading a second time cannot fail.
pub const CHECKED: &str = "it was checked when the request was decoded";

/// How the fields of one message at one version lie in the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    pub version: i16,
    pub form: Form,
}

impl Layout {
    #[inline]
    pub fn new(version: i16, flexible_from: i16) -> Layout {
        Layout { version, form: Form::of(version, flexible_from) }
    }

    #[inline]
    pub fn is_flexible(self) -> bool {
        self.form == Form::Compact
    }

    /// The number of tagged fields that follow: none if this version has no tag sections.
    #[inline]
    pub fn tag_count(self, reader: &mut Reader<'_>) -> Result<u32, DecodeError> {
        if self.is_flexible() { reader.tag_count() } else { Ok(0) }
    }

    /// Reads past a tag section of which no tag is known.
    #[inline]
    pub fn skip_tags(self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match self.tag_count(reader)? {
            0 => Ok(()),
            count => {
                *reader = skip_unknown(*reader, count)?;
                Ok(())
            }
        }
    }
}

/// Apart, as nobody sends any; and from reader to reader, so that the reader of the usual path can stay in registers.
#[cold]
fn skip_unknown(mut reader: Reader<'_>, count: u32) -> Result<Reader<'_>, DecodeError> {
    for _ in 0..count {
        reader.tag()?;
    }
    Ok(reader)
}

/// Refuses a tagged field that goes on behind its contents.
pub fn end_tag(field: &Reader<'_>) -> Result<(), DecodeError> {
    match field.remaining() {
        0 => Ok(()),
        _ => Err(field.error("tag", DecodeErrorKind::TagSize)),
    }
}

/// A string that stays in the frame. Kafka puts U+FFFD wherever a string is not UTF-8; the frame has no room for that, so
/// a string that is not UTF-8 somewhere is read as a single U+FFFD, which names nothing that exists either.
#[inline]
pub fn nullable_text<'a>(
    reader: &mut Reader<'a>,
    field: &'static str,
    form: Form,
) -> Result<Option<&'a str>, DecodeError> {
    Ok(reader.nullable_str_bytes(field, form)?.map(|bytes| std::str::from_utf8(bytes).unwrap_or("\u{FFFD}")))
}

/// As [`nullable_text`], of a string that cannot be null.
#[inline]
pub fn text<'a>(reader: &mut Reader<'a>, field: &'static str, form: Form) -> Result<&'a str, DecodeError> {
    let start = *reader;
    nullable_text(reader, field, form)?.ok_or_else(|| start.error(field, DecodeErrorKind::Null))
}
