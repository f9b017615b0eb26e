//! What a stage came to, and how that is read from the lines that runners print.

use std::ops::AddAssign;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    pub skipped: u64,
}

impl Tally {
    pub fn passed(passed: u64) -> Tally {
        Tally { passed, ..Tally::default() }
    }

    /// Reads a closing line of our runners: `3 passed, 0 failed, 1 skipped`.
    pub fn of_line(line: &str) -> Option<Tally> {
        let (tally, is_pure) = Tally::of_counts(line.split(','))?;
        is_pure.then_some(tally)
    }

    /// Reads cargo's: `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; …`.
    pub fn of_cargo(line: &str) -> Option<Tally> {
        let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
        Tally::of_counts(counts.split(';')).map(|(tally, _)| tally)
    }

    /// Adds up `3 passed` and its like; also tells whether there was nothing else.
    fn of_counts<'a>(parts: impl Iterator<Item = &'a str>) -> Option<(Tally, bool)> {
        let mut tally = Tally::default();
        let (mut seen, mut is_pure) = ([false; 2], true);
        for part in parts {
            let (count, what) = part.trim().split_once(' ')?;
            match (count.parse(), what) {
                (Ok(n), "passed") => (tally.passed, seen[0]) = (n, true),
                (Ok(n), "failed") => (tally.failed, seen[1]) = (n, true),
                (Ok(n), "skipped" | "ignored") => tally.skipped = n,
                _ => is_pure = false,
            }
        }
        (seen == [true; 2]).then_some((tally, is_pure))
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, other: Tally) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

/// Why a stage has no tally of its own.
#[derive(Clone, Debug)]
pub enum Trouble {
    /// The machine lacks what the stage needs.
    Skipped(String),
    Failed(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closing_lines() {
        let of = |passed, failed, skipped| Some(Tally { passed, failed, skipped });
        assert_eq!(Tally::of_line("3 passed, 2 failed, 1 skipped"), of(3, 2, 1));
        let cargo = "test result: FAILED. 9 passed; 1 failed; 4 ignored; 0 measured; 2 filtered out; finished in 0.35s";
        assert_eq!(Tally::of_cargo(cargo), of(9, 1, 4));
        assert_eq!(Tally::of_line(cargo), None);
        assert_eq!(Tally::of_cargo("3 passed, 2 failed, 1 skipped"), None, "a test may print what it likes");
        for other in [
            "",
            "PASS one 0.1s",
            "3 passed",
            "passed, failed",
            "he passed, they failed",
            "3 passed, 1 failed, 2 unclear",
            "test result: unclear",
        ] {
            assert_eq!(Tally::of_line(other), None, "{other}");
        }
    }
}
