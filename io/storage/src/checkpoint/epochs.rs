//! `leader-epoch-checkpoint` of a replica: which leader epoch began at which offset.

use std::path::Path;

use super::{format_lines, parse_lines, read, write};
use crate::LogError;
use crate::disk::Disk;

const FILE: &str = "leader-epoch-checkpoint";

/// Epochs and their first offsets, both rising.
pub fn load(disk: &dyn Disk, replica: &Path) -> Result<Option<Vec<(i32, i64)>>, LogError> {
    Ok(read(disk, &replica.join(FILE))?.and_then(|bytes| parse(&bytes)))
}

/// When this returns it survives a loss of power.
pub fn store(disk: &dyn Disk, replica: &Path, epochs: &[(i32, i64)]) -> Result<(), LogError> {
    let lines = epochs.iter().map(|(epoch, start)| format!("{epoch} {start}"));
    write(disk, &replica.join(FILE), format_lines(lines).as_bytes())
}

fn parse(bytes: &[u8]) -> Option<Vec<(i32, i64)>> {
    if bytes.is_empty() {
        return Some(Vec::new());
    }
    let lines = parse_lines(bytes, |line| {
        let (epoch, start) = line.split_once(' ')?;
        Some((epoch.parse().ok()?, start.parse().ok()?))
    })?;
    let rises = |pair: &[(i32, i64)]| pair[0].0 < pair[1].0 && pair[0].1 <= pair[1].1;
    let is_sound = lines.windows(2).all(rises) && lines.iter().all(|(epoch, start)| *epoch >= 0 && *start >= 0);
    is_sound.then_some(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_kafka() {
        assert_eq!(parse(b"0\n2\n0 0\n4 6\n"), Some(vec![(0, 0), (4, 6)]));
        assert_eq!(format_lines([(2, 6)].iter().map(|(e, s)| format!("{e} {s}"))), "0\n1\n2 6\n");
        assert_eq!(parse(b""), Some(Vec::new()));
    }

    #[test]
    fn epochs_that_do_not_rise_say_nothing() {
        for text in ["0\n2\n4 0\n0 6\n", "0\n2\n0 6\n4 0\n", "0\n1\n-1 0\n", "0\n1\n0 -5\n", "0\n1\n0\n"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
