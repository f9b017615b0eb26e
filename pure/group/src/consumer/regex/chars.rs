//! Sets of ASCII characters, and those that have names.

use std::ops::{BitOr, Not};

use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange, Hir};

/// A bit for each character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Chars(u128);

/// Characters outside of ASCII that are the same as an ASCII letter if case does not count.
const FOLDED: [(char, u8); 2] = [('\u{17f}', b's'), ('\u{212a}', b'k')];

impl Chars {
    pub(super) const NONE: Chars = Chars(0);
    pub(super) const ALL: Chars = Chars(u128::MAX);

    /// Those of `low..=high` that are ASCII.
    pub(super) fn range(low: char, high: char) -> Chars {
        let ascii = (0..128u8).filter(|&c| (low..=high).contains(&char::from(c)));
        Chars(ascii.fold(0, |chars, c| chars | 1 << c))
    }

    /// The same where case does not count.
    pub(super) fn folded_range(low: char, high: char) -> Chars {
        let foreign = FOLDED.iter().filter(|(c, _)| (low..=high).contains(c));
        let foreign = foreign.fold(0, |chars, (_, letter)| chars | 1 << letter);
        (Chars::range(low, high) | Chars(foreign)).folded()
    }

    pub(super) fn folded(self) -> Chars {
        let upper = self.0 & Chars::range('A', 'Z').0;
        let lower = self.0 & Chars::range('a', 'z').0;
        Chars(self.0 | upper << 32 | lower >> 32)
    }

    /// As in `\d`.
    pub(super) fn perl(name: char) -> Option<Chars> {
        Some(match name {
            'd' => of("0-9"),
            's' => of("\t-\n\x0c-\r "),
            'w' => of("0-9A-Za-z_"),
            'D' | 'S' | 'W' => !Chars::perl(name.to_ascii_lowercase())?,
            _ => return None,
        })
    }

    /// As in `[[:alpha:]]`.
    pub(super) fn posix(name: &str) -> Option<Chars> {
        Some(match name {
            "alnum" => of("0-9A-Za-z"),
            "alpha" => of("A-Za-z"),
            "ascii" => Chars::ALL,
            "blank" => of("\t "),
            "cntrl" => of("\0-\x1f\x7f"),
            "digit" => of("0-9"),
            "graph" => of("!-~"),
            "lower" => of("a-z"),
            "print" => of(" -~"),
            "punct" => of("!-/:-@[-`{-~"),
            "space" => of("\t-\r "),
            "upper" => of("A-Z"),
            "word" => of("0-9A-Za-z_"),
            "xdigit" => of("0-9A-Fa-f"),
            _ => return None,
        })
    }

    /// As in `\p{Greek}`: general categories and scripts.
    pub(super) fn unicode(name: &str) -> Option<Chars> {
        Some(match name {
            "Any" => Chars::ALL,
            "L" | "Latin" => of("A-Za-z"),
            "Ll" => of("a-z"),
            "Lu" => of("A-Z"),
            "N" | "Nd" => of("0-9"),
            "P" => of("!-#%-*,-/:-;?-@[-]_{}"),
            "Pc" => of("_"),
            "Pd" => of("-"),
            "Pe" => of(")]}"),
            "Po" => of("!-#%-'*,.-/:-;?-@\\"),
            "Ps" => of("([{"),
            "S" => of("$+<->^`|~"),
            "Sc" => of("$"),
            "Sk" => of("^`"),
            "Sm" => of("+<->|~"),
            "Z" | "Zs" => of(" "),
            "C" | "Cc" => of("\0-\x1f\x7f"),
            "Common" => !of("A-Za-z"),
            _ if ELSEWHERE.contains(&name) => Chars::NONE,
            _ => return None,
        })
    }

    pub(super) fn into_hir(self) -> Hir {
        let members = (0..128).filter(|c| self.0 >> c & 1 == 1);
        Hir::class(Class::Bytes(ClassBytes::new(members.map(|c| ClassBytesRange::new(c, c)))))
    }
}

impl BitOr for Chars {
    type Output = Chars;

    fn bitor(self, other: Chars) -> Chars {
        Chars(self.0 | other.0)
    }
}

impl Not for Chars {
    type Output = Chars;

    fn not(self) -> Chars {
        Chars(!self.0)
    }
}

/// A list of characters and of ranges of them, `a-z`.
fn of(list: &str) -> Chars {
    let mut chars = Chars::NONE;
    let mut rest = list.chars();
    while let Some(low) = rest.next() {
        let mut after = rest.clone();
        let high = match (after.next(), after.next()) {
            (Some('-'), Some(high)) => {
                rest = after;
                high
            }
            _ => low,
        };
        chars = chars | Chars::range(low, high);
    }
    chars
}

/// What RE2/J 1.8 knows and has nothing in ASCII.
#[rustfmt::skip]
const ELSEWHERE: &[&str] = &[
    "Cf", "Co", "Cs", "Lm", "Lo", "Lt", "M", "Mc", "Me", "Mn", "Nl", "No", "Pf", "Pi", "So", "Zl", "Zp",
    "Arabic", "Armenian", "Avestan", "Balinese", "Bamum", "Batak", "Bengali", "Bopomofo", "Brahmi", "Braille", "Buginese",
    "Buhid", "Canadian_Aboriginal", "Carian", "Cham", "Cherokee", "Coptic", "Cuneiform", "Cypriot", "Cyrillic", "Deseret",
    "Devanagari", "Egyptian_Hieroglyphs", "Ethiopic", "Georgian", "Glagolitic", "Gothic", "Greek", "Gujarati", "Gurmukhi",
    "Han", "Hangul", "Hanunoo", "Hebrew", "Hiragana", "Imperial_Aramaic", "Inherited", "Inscriptional_Pahlavi",
    "Inscriptional_Parthian", "Javanese", "Kaithi", "Kannada", "Katakana", "Kayah_Li", "Kharoshthi", "Khmer", "Lao",
    "Lepcha", "Limbu", "Linear_B", "Lisu", "Lycian", "Lydian", "Malayalam", "Mandaic", "Meetei_Mayek", "Mongolian",
    "Myanmar", "New_Tai_Lue", "Nko", "Ogham", "Ol_Chiki", "Old_Italic", "Old_Persian", "Old_South_Arabian", "Old_Turkic",
    "Oriya", "Osmanya", "Phags_Pa", "Phoenician", "Rejang", "Runic", "Samaritan", "Saurashtra", "Shavian", "Sinhala",
    "Sundanese", "Syloti_Nagri", "Syriac", "Tagalog", "Tagbanwa", "Tai_Le", "Tai_Tham", "Tai_Viet", "Tamil", "Telugu",
    "Thaana", "Thai", "Tibetan", "Tifinagh", "Ugaritic", "Unknown", "Vai", "Yi",
];
