//! Lengths of time as Java reads them: ISO 8601, days to seconds, in either case, each with a sign of its own.

const NANOS: i128 = 1_000_000_000;

/// `PnDTnHnMn.nS` in nanoseconds; what is more than 2^63 seconds is none.
pub(crate) fn nanos(text: &str) -> Option<i128> {
    let (sign, rest) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let rest = rest.strip_prefix(['P', 'p'])?;
    let (date, time) = match rest.split_once(['T', 't']) {
        Some((_, "")) => return None,
        Some((date, time)) => (date, time),
        None if rest.is_empty() => return None,
        None => (rest, ""),
    };
    let total = sum(date, &[('D', 86_400)])? + sum(time, &[('H', 3_600), ('M', 60), ('S', 1)])?;
    i64::try_from(total / NANOS).is_ok().then_some(sign * total)
}

/// Numbers, each followed by one of `units` (its letter and its seconds), which come in their order and once at most.
fn sum(text: &str, units: &[(char, i64)]) -> Option<i128> {
    let (mut rest, mut units, mut total) = (text, units.iter(), 0);
    while !rest.is_empty() {
        let at = rest.find(|c: char| c.is_ascii_alphabetic())?;
        let letter = rest[at..].chars().next()?;
        let (_, seconds) = units.find(|(unit, _)| unit.eq_ignore_ascii_case(&letter))?;
        total += number(&rest[..at], *seconds)?;
        rest = &rest[at + 1..];
    }
    Some(total)
}

fn number(text: &str, seconds: i64) -> Option<i128> {
    let (whole, fraction) = match text.split_once(['.', ',']) {
        Some((whole, fraction)) if seconds == 1 => (whole, fraction),
        Some(_) => return None,
        None => (text, ""),
    };
    if fraction.len() > 9 || !fraction.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let below_one: i128 = format!("{fraction:0<9}").parse().ok()?;
    let signed = if whole.starts_with('-') { -below_one } else { below_one };
    let whole = whole.parse::<i64>().ok()?.checked_mul(seconds)?;
    Some(i128::from(whole) * NANOS + signed)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each was shown to Java.
    #[test]
    fn durations_are_those_of_java() {
        for (text, expected) in [
            ("PT1H", Some(3600 * NANOS)),
            ("P1D", Some(86_400 * NANOS)),
            ("p1dt2h", Some(93_600 * NANOS)),
            ("+PT1H", Some(3600 * NANOS)),
            ("PT-1H", Some(-3600 * NANOS)),
            ("-PT-1S", Some(NANOS)),
            ("PT1H-30M", Some(1800 * NANOS)),
            ("PT1.5S", Some(NANOS * 3 / 2)),
            ("PT1,5S", Some(NANOS * 3 / 2)),
            ("PT1.S", Some(NANOS)),
            ("PT-0.5S", Some(-NANOS / 2)),
            ("PT1M-0.5S", Some(60 * NANOS - NANOS / 2)),
            ("PT0.000000001S", Some(1)),
            ("-PT0S", Some(0)),
            ("PT9223372036854775807S", Some(i128::from(i64::MAX) * NANOS)),
            ("P106751991167301D", None),
            ("PT9223372036854775807S1S", None),
            ("PT1M9223372036854775807S", None),
            ("", None),
            ("P", None),
            ("PT", None),
            ("P1DT", None),
            ("P1H", None),
            ("P1W", None),
            ("PT1M1H", None),
            ("PT1H1H", None),
            ("PT.5S", None),
            ("PT1.5H", None),
            ("PT1.1234567890S", None),
            ("PT1.-5S", None),
            ("PT99999999999999999999S", None),
            ("PT+-1S", None),
            ("PT1H ", None),
            (" PT1H", None),
            ("PT1é", None),
            ("PT1", None),
        ] {
            assert_eq!(nanos(text), expected, "{text:?}");
        }
    }
}
