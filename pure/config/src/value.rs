//! From the text of a value to the value.
//!
//! Settings are kept as the text they came in. A text has one **canonical** form, which is what DescribeConfigs shows:
//! `+3` is `3`, `TRUE` is `true`, `5e-1` is `0.5`, `compact , delete` is `compact,delete`.

use std::fmt;

/// The type of a key, in Kafka's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Boolean,
    String,
    Int,
    Short,
    Long,
    Double,
    List,
    Class,
    Password,
}

impl Kind {
    /// The number of the type in DescribeConfigs; 0 stands for the type of a key that nobody knows.
    pub fn id(self) -> i8 {
        match self {
            Kind::Boolean => 1,
            Kind::String => 2,
            Kind::Int => 3,
            Kind::Short => 4,
            Kind::Long => 5,
            Kind::Double => 6,
            Kind::List => 7,
            Kind::Class => 8,
            Kind::Password => 9,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Kind::Boolean => "boolean",
            Kind::String => "string",
            Kind::Int => "int",
            Kind::Short => "short",
            Kind::Long => "long",
            Kind::Double => "double",
            Kind::List => "list",
            Kind::Class => "class",
            Kind::Password => "password",
        })
    }
}

/// The canonical form of `text`, if it is a value of this type.
pub(crate) fn canonical(kind: Kind, text: &str) -> Option<String> {
    let text = text.trim();
    match kind {
        Kind::Boolean => Some(text.to_ascii_lowercase()).filter(|text| text == "true" || text == "false"),
        Kind::Int => text.parse::<i32>().ok().map(|n| n.to_string()),
        Kind::Short => text.parse::<i16>().ok().map(|n| n.to_string()),
        Kind::Long => text.parse::<i64>().ok().map(|n| n.to_string()),
        Kind::Double => text.parse().ok().filter(|n: &f64| n.is_finite()).map(java_double),
        Kind::List => list(text),
        Kind::Class => Some(text.to_owned()).filter(|text| !text.is_empty()),
        Kind::String | Kind::Password => Some(text.to_owned()),
    }
}

/// Each element once and none empty, as KIP-1161 has it; the empty text is the empty list.
fn list(text: &str) -> Option<String> {
    if text.is_empty() {
        return Some(String::new());
    }
    let mut elements = Vec::new();
    for element in text.split(',').map(str::trim) {
        if element.is_empty() {
            return None;
        }
        if !elements.contains(&element) {
            elements.push(element);
        }
    }
    Some(elements.join(","))
}

/// The way Java prints a double: plain between 1e-3 and 1e7, else `d.dE±n`, with a digit after the point in any case.
fn java_double(n: f64) -> String {
    let with_point = |digits: &str| if digits.contains('.') { digits.to_owned() } else { format!("{digits}.0") };
    if n == 0.0 || (1e-3..1e7).contains(&n.abs()) {
        return with_point(&n.to_string());
    }
    let scientific = format!("{n:E}");
    let (digits, exponent) = scientific.split_once('E').expect("the E format writes an E");
    format!("{}E{exponent}", with_point(digits))
}

/// The Rust type of a key's values.
pub trait Value: Sized {
    /// `canonical` has passed the check of its key; `None` is null, which only keys with an `Option` have.
    fn of(canonical: Option<&str>) -> Self;
}

const CHECKED: &str = "a value is checked when it is read, a default by the tests of the tables";

impl Value for bool {
    fn of(canonical: Option<&str>) -> bool {
        canonical.expect(CHECKED) == "true"
    }
}

impl Value for i32 {
    fn of(canonical: Option<&str>) -> i32 {
        canonical.expect(CHECKED).parse().expect(CHECKED)
    }
}

impl Value for i16 {
    fn of(canonical: Option<&str>) -> i16 {
        canonical.expect(CHECKED).parse().expect(CHECKED)
    }
}

impl Value for i64 {
    fn of(canonical: Option<&str>) -> i64 {
        canonical.expect(CHECKED).parse().expect(CHECKED)
    }
}

impl Value for f64 {
    fn of(canonical: Option<&str>) -> f64 {
        canonical.expect(CHECKED).parse().expect(CHECKED)
    }
}

impl Value for String {
    fn of(canonical: Option<&str>) -> String {
        canonical.expect(CHECKED).to_owned()
    }
}

impl Value for Vec<String> {
    fn of(canonical: Option<&str>) -> Vec<String> {
        let text = canonical.expect(CHECKED);
        if text.is_empty() { Vec::new() } else { text.split(',').map(str::to_owned).collect() }
    }
}

impl<T: Value> Value for Option<T> {
    fn of(canonical: Option<&str>) -> Option<T> {
        canonical.map(|text| T::of(Some(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_forms_are_those_of_kafka() {
        for (kind, text, expected) in [
            (Kind::Int, " +3 ", Some("3")),
            (Kind::Int, "3.0", None),
            (Kind::Int, "2147483648", None),
            (Kind::Int, "", None),
            (Kind::Short, "32767", Some("32767")),
            (Kind::Short, "32768", None),
            (Kind::Long, "-9223372036854775808", Some("-9223372036854775808")),
            (Kind::Boolean, "TRUE", Some("true")),
            (Kind::Boolean, "yes", None),
            (Kind::Double, "5e-1", Some("0.5")),
            (Kind::Double, "1e-7", Some("1.0E-7")),
            (Kind::Double, "0.001", Some("0.001")),
            (Kind::Double, "0.00095", Some("9.5E-4")),
            (Kind::Double, "10000000", Some("1.0E7")),
            (Kind::Double, "9999999", Some("9999999.0")),
            (Kind::Double, "-0", Some("-0.0")),
            (Kind::Double, "1.7976931348623157E308", Some("1.7976931348623157E308")),
            (Kind::Double, "NaN", None),
            (Kind::List, " compact , delete,compact ", Some("compact,delete")),
            (Kind::List, " ", Some("")),
            (Kind::List, "a,", None),
            (Kind::List, "a,,b", None),
            (Kind::Class, "", None),
            (Kind::String, " a b ", Some("a b")),
        ] {
            assert_eq!(canonical(kind, text).as_deref(), expected, "{kind} {text:?}");
        }
    }
}
