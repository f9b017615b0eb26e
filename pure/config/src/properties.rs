//! Java's `.properties` format, as `java.util.Properties` reads it.
//!
//! Splitting each line at `=` would do for most files, and fail on those that need it: paths with `\\`, values
//! continued over lines, `key: value`, blanks around the separator, `\u00e9`. The rules are few, so all of them are
//! here:
//!
//! - A line ends with `\n`, `\r` or `\r\n`. One whose first non-blank is `#` or `!` is a comment; blank ones are
//!   skipped.
//! - A backslash at the end of a line continues it; the blanks at the start of the next line are dropped. A comment is
//!   never continued, and inside a continued line `#` is nothing special.
//! - The key ends at the first `=`, `:` or blank without a backslash before it. Blanks around the separator are
//!   dropped, those at the end of the value are not.
//! - `\t \n \r \f` and `\uXXXX` (UTF-16) are escapes; before any other character a backslash says nothing.

/// One line of the file, or several that continue each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Property {
    pub key: String,
    pub value: String,
    /// Of the key, counted from 1.
    pub line: usize,
}

/// A `\u` without four hexadecimal digits after it, or half of a surrogate pair: all that can be wrong with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BadEscape {
    pub line: usize,
}

/// The properties of a file in their order; a key may come again, and then the last one counts.
pub(crate) fn parse(text: &str) -> Vec<Result<Property, BadEscape>> {
    logical_lines(text)
        .into_iter()
        .map(|(line, text)| {
            let (key, value) = split(&text);
            match (unescape(key), unescape(value)) {
                (Some(key), Some(value)) => Ok(Property { key, value, line }),
                _ => Err(BadEscape { line }),
            }
        })
        .collect()
}

/// Lines without comments and with continuations joined, each with its number.
fn logical_lines(text: &str) -> Vec<(usize, String)> {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines = Vec::new();
    let mut natural = text.split('\n').enumerate();
    while let Some((index, line)) = natural.next() {
        let line = line.trim_start_matches(is_blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        let mut joined = line.to_owned();
        while ends_with_lone_backslash(&joined) {
            joined.pop();
            let Some((_, next)) = natural.next() else { break };
            joined.push_str(next.trim_start_matches(is_blank));
        }
        if !joined.is_empty() {
            lines.push((index + 1, joined));
        }
    }
    lines
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\x0c')
}

/// An even number of backslashes is that many halves of escaped ones.
fn ends_with_lone_backslash(line: &str) -> bool {
    line.bytes().rev().take_while(|&c| c == b'\\').count() % 2 == 1
}

/// Key and value of a line, still with their escapes.
fn split(line: &str) -> (&str, &str) {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = !escaped && (matches!(c, '=' | ':') || is_blank(c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = line.split_at(end.unwrap_or(line.len()));
    let rest = rest.trim_start_matches(is_blank);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest);
    (key, value.trim_start_matches(is_blank))
}

fn unescape(text: &str) -> Option<String> {
    let mut units: Vec<u16> = Vec::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let c = match c {
            '\\' => match chars.next() {
                Some('u') => {
                    units.push(utf16_unit(&mut chars)?);
                    continue;
                }
                Some('t') => '\t',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('f') => '\x0c',
                Some(other) => other,
                None => break,
            },
            c => c,
        };
        units.extend_from_slice(c.encode_utf16(&mut [0; 2]));
    }
    String::from_utf16(&units).ok()
}

fn utf16_unit(chars: &mut std::str::Chars<'_>) -> Option<u16> {
    let mut unit = 0;
    for _ in 0..4 {
        unit = unit << 4 | chars.next()?.to_digit(16)? as u16;
    }
    Some(unit)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, expected: &[(&str, &str, usize)]) {
        let parsed: Vec<_> = parse(text).into_iter().map(|property| property.unwrap()).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|&(key, value, line)| Property { key: key.to_owned(), value: value.to_owned(), line })
            .collect();
        assert_eq!(parsed, expected, "{text:?}");
    }

    /// Each case was read by `java.util.Properties` with the same result.
    #[test]
    fn lines_are_read_as_java_reads_them() {
        check("a=b", &[("a", "b", 1)]);
        check("# c\n ! c\n\n \t\n  a = b  \n", &[("a", "b  ", 5)]);
        check("a:b\nc d\ne\n=f", &[("a", "b", 1), ("c", "d", 2), ("e", "", 3), ("", "f", 4)]);
        check("a = = b\nc : = d\ne   f=g", &[("a", "= b", 1), ("c", "= d", 2), ("e", "f=g", 3)]);
        check("a\\=b\\:c\\ d=e", &[("a=b:c d", "e", 1)]);
        check("a=x,\\\n   y,\\\r\n\tz\nb=1", &[("a", "x,y,z", 1), ("b", "1", 4)]);
        check("a=x\\\\\nb=1", &[("a", "x\\", 1), ("b", "1", 2)]);
        check("a=x\\\\\\\n#y", &[("a", "x\\#y", 1)]);
        check("# c \\\na=b", &[("a", "b", 2)]);
        check("a=x\\", &[("a", "x", 1)]);
        check("a=\\t\\n\\r\\f\\q\\\\", &[("a", "\t\n\r\x0cq\\", 1)]);
        check("a=\\u00e9\\ud83d\\ude00é\nb\\u0020=c", &[("a", "é😀é", 1), ("b ", "c", 2)]);
        check("a=1\r\rb=2\r\nc=3", &[("a", "1", 1), ("b", "2", 3), ("c", "3", 4)]);
        check("a=1\na=2", &[("a", "1", 1), ("a", "2", 2)]);
        check("\\\na=b\n\\\n\nc=d", &[("a", "b", 1), ("c", "d", 5)]);
    }

    #[test]
    fn a_bad_escape_is_named_by_its_line() {
        for bad in ["b=\\u12", "b=\\u12g4", "b\\u=1", "b=\\ud800"] {
            let parsed = parse(&format!("a=1\n{bad}\nc=2"));
            assert!(matches!(parsed[..], [Ok(_), Err(BadEscape { line: 2 }), Ok(_)]), "{bad}");
        }
    }

    proptest! {
        /// What is written with every character escaped that could mean something comes back as it was.
        #[test]
        fn escaped_text_comes_back(pairs in prop::collection::vec((".{1,9}", ".{0,9}"), 0..9)) {
            let escaped = |text: &str| -> String {
                text.encode_utf16().map(|unit| format!("\\u{unit:04x}")).collect()
            };
            let file: String = pairs.iter().map(|(k, v)| format!("{} : {}\n", escaped(k), escaped(v))).collect();
            let parsed: Vec<_> = parse(&file).into_iter().map(|p| p.unwrap()).map(|p| (p.key, p.value)).collect();
            prop_assert_eq!(parsed, pairs);
        }

        #[test]
        fn no_text_panics(text in "[a\\\\u0=: \r\n#!\t]{0,60}|.*") {
            parse(&text);
        }
    }
}
