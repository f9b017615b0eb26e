//! Which values of a type a key takes.

use std::fmt;

use crate::duration;

/// Written as Kafka writes it: `[0,...]`, `[1,...,17]`, `[compact, delete]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bounds {
    Any,
    /// A string or list that is not empty.
    NotEmpty,
    AtLeast(i64),
    Between(i64, i64),
    /// A double from 0 on.
    UpTo(f64),
    /// 1 to 9, or -1 for gzip's own default.
    GzipLevel,
    /// A string that is one of these.
    OneOf(&'static [&'static str]),
    OneOfAnyCase(&'static [&'static str]),
    /// A list of some of these, or empty.
    AnyOf(&'static [&'static str]),
    /// A list of at least one of these.
    SomeOf(&'static [&'static str]),
    /// `partition:broker` pairs, or `*`.
    ThrottledReplicas,
    /// `earliest`, `latest`, or `by_duration:` and a time that is not negative.
    ShareAutoOffsetReset,
}

impl Bounds {
    /// Whether a value, in its canonical form, is allowed.
    pub(crate) fn allow(self, value: &str) -> bool {
        match self {
            Bounds::Any => true,
            Bounds::NotEmpty => !value.is_empty(),
            Bounds::AtLeast(min) => number(value).is_some_and(|n| n >= min),
            Bounds::Between(min, max) => number(value).is_some_and(|n| (min..=max).contains(&n)),
            Bounds::UpTo(max) => value.parse::<f64>().is_ok_and(|n| (0.0..=max).contains(&n)),
            Bounds::GzipLevel => number(value).is_some_and(|n| n == -1 || (1..=9).contains(&n)),
            Bounds::OneOf(names) => names.contains(&value),
            Bounds::OneOfAnyCase(names) => names.iter().any(|name| name.eq_ignore_ascii_case(value)),
            Bounds::AnyOf(names) => value.is_empty() || value.split(',').all(|one| names.contains(&one)),
            Bounds::SomeOf(names) => value.split(',').all(|one| names.contains(&one)),
            Bounds::ThrottledReplicas => value.is_empty() || value == "*" || value.split(',').all(is_replica),
            Bounds::ShareAutoOffsetReset => matches!(value, "earliest" | "latest") || is_by_duration(value),
        }
    }
}

fn number(value: &str) -> Option<i64> {
    value.parse().ok()
}

fn is_replica(text: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    text.split_once(':').is_some_and(|(partition, broker)| digits(partition) && digits(broker))
}

fn is_by_duration(text: &str) -> bool {
    text.strip_prefix("by_duration:").and_then(duration::nanos).is_some_and(|nanos| nanos >= 0)
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bounds::Any => Ok(()),
            Bounds::NotEmpty => f.write_str("non-empty"),
            Bounds::AtLeast(min) => write!(f, "[{min},...]"),
            Bounds::Between(min, max) => write!(f, "[{min},...,{max}]"),
            Bounds::UpTo(max) => write!(f, "[0,...,{max}]"),
            Bounds::GzipLevel => f.write_str("[1,...,9] or -1"),
            Bounds::OneOf(names) | Bounds::AnyOf(names) => write!(f, "[{}]", names.join(", ")),
            Bounds::OneOfAnyCase(names) => write!(f, "(case insensitive) [{}]", names.join(", ")),
            Bounds::SomeOf(names) => write!(f, "non-empty [{}]", names.join(", ")),
            Bounds::ThrottledReplicas => f.write_str("[partitionId]:[brokerId],[partitionId]:[brokerId],..."),
            Bounds::ShareAutoOffsetReset => f.write_str("[latest, earliest, by_duration:PnDTnHnMn.nS]"),
        }
    }
}
