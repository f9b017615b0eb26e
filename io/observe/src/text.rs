//! Prometheus' text format, version 0.0.4.
//!
//! A family is one name with its HELP and TYPE, which may stand only once, and all samples of it behind them. So whoever
//! writes takes a family, writes its samples, and takes the next. Labels that many families share (a topic, a partition) are
//! made once and written as they are.

use std::fmt::Write;

/// What there is to tell under one name.
#[derive(Debug, PartialEq, Eq)]
pub struct Family {
    pub name: &'static str,
    pub kind: Kind,
    pub help: &'static str,
    /// Names of the labels, in the order of their values.
    pub labels: &'static [&'static str],
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    /// Quantiles, in a label of their own, and a count.
    Summary,
}

/// The labels of a sample, as they are written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Labels(String);

impl Labels {
    pub fn of(names: &[&str], values: &[&str]) -> Labels {
        assert_eq!(names.len(), values.len(), "each label has one value");
        let mut text = String::new();
        for (name, value) in names.iter().zip(values) {
            text.push_str(if text.is_empty() { "" } else { "," });
            text.push_str(name);
            text.push_str("=\"");
            escape(value, &mut text);
            text.push('"');
        }
        Labels(text)
    }
}

fn escape(value: &str, text: &mut String) {
    if !value.contains(['\\', '"', '\n']) {
        return text.push_str(value);
    }
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value {
    Whole(i128),
    Real(f64),
}

macro_rules! whole {
    ($($number:ty),+) => {$(
        impl From<$number> for Value {
            fn from(number: $number) -> Value {
                Value::Whole(number as i128)
            }
        }
    )+};
}
whole!(bool, i16, i32, u32, i64, u64, usize);

impl From<f64> for Value {
    fn from(number: f64) -> Value {
        Value::Real(number)
    }
}

/// A text that grows.
#[derive(Debug, Default)]
pub struct Text(String);

impl Text {
    /// With room for so many bytes.
    pub fn with_capacity(bytes: usize) -> Text {
        Text(String::with_capacity(bytes))
    }

    pub fn finish(self) -> String {
        self.0
    }

    /// Writes all samples of a family, which is left out if there is none.
    pub fn family<'l, V: Into<Value>>(&mut self, family: &Family, samples: impl IntoIterator<Item = (&'l Labels, V)>) {
        let mut samples = samples.into_iter().peekable();
        if samples.peek().is_some() {
            self.head(family);
        }
        for (labels, value) in samples {
            self.sample(family.name, "", &labels.0, value.into());
        }
    }

    /// The one sample of a family without labels.
    pub fn single(&mut self, family: &Family, value: impl Into<Value>) {
        self.family(family, [(&Labels::default(), value)]);
    }

    /// Writes a summary: for each row of labels the count, and the quantiles if anything was recorded lately.
    pub fn summary<'l, const N: usize>(
        &mut self,
        family: &Family,
        rows: impl IntoIterator<Item = (&'l Labels, u64, Option<[(&'static str, f64); N]>)>,
    ) {
        let mut rows = rows.into_iter().peekable();
        if rows.peek().is_some() {
            self.head(family);
        }
        let mut labels_of_quantile = String::new();
        for (labels, count, quantiles) in rows {
            for (quantile, value) in quantiles.into_iter().flatten() {
                labels_of_quantile.clear();
                let comma = if labels.0.is_empty() { "" } else { "," };
                let written = write!(labels_of_quantile, "{}{comma}quantile=\"{quantile}\"", labels.0);
                written.expect("a string takes all");
                self.sample(family.name, "", &labels_of_quantile, value.into());
            }
            self.sample(family.name, "_count", &labels.0, count.into());
        }
    }

    fn head(&mut self, family: &Family) {
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Summary => "summary",
        };
        let Family { name, help, .. } = family;
        debug_assert!(!help.contains(['\n', '\\']), "{name}: no help has anything to escape");
        writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}").expect("a string takes all");
    }

    fn sample(&mut self, name: &str, suffix: &str, labels: &str, value: Value) {
        let text = &mut self.0;
        text.push_str(name);
        text.push_str(suffix);
        if !labels.is_empty() {
            text.push('{');
            text.push_str(labels);
            text.push('}');
        }
        text.push(' ');
        match value {
            // Wide numbers are slow to write, and seldom.
            Value::Whole(number) => match i64::try_from(number) {
                Ok(number) => write!(text, "{number}"),
                Err(_) => write!(text, "{number}"),
            },
            Value::Real(number) if number.is_infinite() => text.write_str(if number > 0.0 { "+Inf" } else { "-Inf" }),
            Value::Real(number) => write!(text, "{number}"),
        }
        .expect("a string takes all");
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZES: Family = Family { name: "size", kind: Kind::Gauge, help: "Bytes.", labels: &["topic", "partition"] };
    const TIMES: Family = Family { name: "time_ms", kind: Kind::Summary, help: "Time.", labels: &["request"] };
    const STARTS: Family = Family { name: "starts_total", kind: Kind::Counter, help: "Starts.", labels: &[] };

    #[test]
    fn a_text_of_all_kinds() {
        let mut text = Text::default();
        let labels = [["a", "0"], ["b", "12"]].map(|values| Labels::of(SIZES.labels, &values));
        text.family(&SIZES, labels.iter().zip([1_u64, u64::MAX]));
        text.single(&STARTS, 1_u64);
        let request = [Labels::of(TIMES.labels, &["Fetch"]), Labels::of(TIMES.labels, &["Produce"])];
        text.summary(&TIMES, [(&request[0], 3, Some([("0.50", 0.25), ("0.99", 2.0)])), (&request[1], 0, None)]);
        assert_eq!(
            text.finish(),
            "# HELP size Bytes.\n\
             # TYPE size gauge\n\
             size{topic=\"a\",partition=\"0\"} 1\n\
             size{topic=\"b\",partition=\"12\"} 18446744073709551615\n\
             # HELP starts_total Starts.\n\
             # TYPE starts_total counter\n\
             starts_total 1\n\
             # HELP time_ms Time.\n\
             # TYPE time_ms summary\n\
             time_ms{request=\"Fetch\",quantile=\"0.50\"} 0.25\n\
             time_ms{request=\"Fetch\",quantile=\"0.99\"} 2\n\
             time_ms_count{request=\"Fetch\"} 3\n\
             time_ms_count{request=\"Produce\"} 0\n"
        );
    }

    #[test]
    fn a_family_without_samples_is_not_there() {
        let mut text = Text::default();
        text.family(&SIZES, Vec::<(&Labels, u64)>::new());
        assert_eq!(text.finish(), "");
    }

    #[test]
    fn a_value_of_a_label_may_hold_anything() {
        let labels = Labels::of(&["group"], &["a\"b\\c\nd{ü}"]);
        assert_eq!(labels, Labels("group=\"a\\\"b\\\\c\\nd{ü}\"".to_owned()));
    }

    #[test]
    fn real_numbers() {
        let mut text = Text::default();
        for number in [0.5, 1e21, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            text.sample("n", "", "", number.into());
        }
        assert_eq!(text.finish(), "n 0.5\nn 1000000000000000000000\nn NaN\nn +Inf\nn -Inf\n");
    }
}
