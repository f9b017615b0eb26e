//! JSON, as much of it as it takes to write.

use std::fmt::{self, Write};
use std::sync::Arc;

#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    Null,
    Bool(bool),
    Whole(i64),
    Real(f64),
    Text(Arc<str>),
    List(Vec<Json>),
    /// Names in the order in which they are written.
    Object(Vec<(&'static str, Json)>),
}

impl fmt::Display for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Json::Null => f.write_str("null"),
            Json::Bool(is_so) => write!(f, "{is_so}"),
            Json::Whole(number) => write!(f, "{number}"),
            // There is no other number in JSON.
            Json::Real(number) if !number.is_finite() => f.write_str("null"),
            Json::Real(number) => write!(f, "{number}"),
            Json::Text(text) => string(text, f),
            Json::List(list) => {
                f.write_char('[')?;
                for (place, one) in list.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { "," })?;
                    one.fmt(f)?;
                }
                f.write_char(']')
            }
            Json::Object(fields) => {
                f.write_char('{')?;
                for (place, (name, value)) in fields.iter().enumerate() {
                    f.write_str(if place == 0 { "" } else { "," })?;
                    string(name, f)?;
                    f.write_char(':')?;
                    value.fmt(f)?;
                }
                f.write_char('}')
            }
        }
    }
}

fn string(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            c if c.is_control() => write!(f, "\\u{:04x}", u32::from(c))?,
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

impl From<i64> for Json {
    fn from(number: i64) -> Json {
        Json::Whole(number)
    }
}

impl From<i32> for Json {
    fn from(number: i32) -> Json {
        Json::Whole(number.into())
    }
}

impl From<usize> for Json {
    fn from(number: usize) -> Json {
        Json::Whole(i64::try_from(number).unwrap_or(i64::MAX))
    }
}

impl From<f64> for Json {
    fn from(number: f64) -> Json {
        Json::Real(number)
    }
}

impl From<&str> for Json {
    fn from(text: &str) -> Json {
        Json::Text(text.into())
    }
}

impl From<&Arc<str>> for Json {
    fn from(text: &Arc<str>) -> Json {
        Json::Text(text.clone())
    }
}

impl<T: Into<Json>> From<Option<T>> for Json {
    fn from(value: Option<T>) -> Json {
        value.map_or(Json::Null, Into::into)
    }
}

impl FromIterator<Json> for Json {
    fn from_iter<I: IntoIterator<Item = Json>>(all: I) -> Json {
        Json::List(all.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_kinds_of_values() {
        let json = Json::Object(vec![
            ("text", "a\"b\\c\nd\u{1}ü".into()),
            ("numbers", [Json::from(-3), Json::from(0.5), Json::from(f64::NAN)].into_iter().collect()),
            ("nothing", Json::from(None::<i64>)),
            ("is", Json::Bool(true)),
            ("empty", Json::Object(Vec::new())),
        ]);
        let expected = r#"{"text":"a\"b\\c\nd\u0001ü","numbers":[-3,0.5,null],"nothing":null,"is":true,"empty":{}}"#;
        assert_eq!(json.to_string(), expected);
    }
}
