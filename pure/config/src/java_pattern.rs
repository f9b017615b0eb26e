//! Whether a text is a regular expression of Java's.
//!
//! Kafka takes no pattern that Java's compiler does not take. Nothing is matched here, so what is wanted is the word to the
//! one who has mistyped: groups and classes must end, and what is repeated must be there. A name of a property that Java does not
//! know, or a back-reference to no group, is let through.

/// Looks at brackets, repetitions and escapes.
pub(crate) fn is_well_formed(pattern: &str) -> bool {
    let mut rest = Cursor { chars: pattern.chars().collect(), at: 0 };
    let mut open_groups = 0_usize;
    let mut can_repeat = false;
    while let Some(c) = rest.next() {
        can_repeat = match c {
            '\\' => match rest.next() {
                None => return false,
                Some('Q') => {
                    rest.skip_quoted();
                    true
                }
                Some('p' | 'P' | 'x' | 'N') if !rest.skip_name() => return false,
                // A control character: what follows stands for itself.
                Some('c') => rest.next().is_some(),
                Some(_) => true,
            },
            '[' if !rest.skip_class() => return false,
            '(' if !rest.skip_kind_of_group() => return false,
            '(' => {
                open_groups += 1;
                false
            }
            ')' if open_groups == 0 => return false,
            ')' => {
                open_groups -= 1;
                true
            }
            '|' => false,
            '*' | '+' | '?' if !can_repeat => return false,
            // With nothing before it, it repeats nothing.
            '{' if !rest.skip_count() => return false,
            '*' | '+' | '?' | '{' => {
                // Lazy or possessive.
                rest.take_if(|c| matches!(c, '?' | '+'));
                false
            }
            _ => true,
        };
    }
    open_groups == 0
}

struct Cursor {
    chars: Vec<char>,
    at: usize,
}

impl Cursor {
    fn next(&mut self) -> Option<char> {
        let next = self.chars.get(self.at).copied();
        self.at += 1;
        next
    }

    fn take_if(&mut self, wanted: impl Fn(char) -> bool) -> bool {
        let is_wanted = self.chars.get(self.at).copied().is_some_and(wanted);
        self.at += usize::from(is_wanted);
        is_wanted
    }

    /// Behind `\Q`: to the `\E`, or to the end.
    fn skip_quoted(&mut self) {
        while let Some(c) = self.next() {
            if c == '\\' && self.take_if(|c| c == 'E') {
                return;
            }
        }
    }

    /// A name in braces, if there is one, that must end.
    fn skip_name(&mut self) -> bool {
        if self.take_if(|c| c == '{') {
            while self.take_if(|c| c != '}') {}
            return self.take_if(|c| c == '}');
        }
        true
    }

    /// Behind `[`: a class, and those inside it. A `]` that is the first of its class stands for itself.
    fn skip_class(&mut self) -> bool {
        let mut depth = 1;
        self.begin_class();
        while let Some(c) = self.next() {
            match c {
                '\\' if self.take_if(|c| c == 'Q') => self.skip_quoted(),
                '\\' if self.next().is_none() => return false,
                '[' => {
                    depth += 1;
                    self.begin_class();
                }
                ']' if depth == 1 => return true,
                ']' => depth -= 1,
                _ => {}
            }
        }
        false
    }

    fn begin_class(&mut self) {
        self.take_if(|c| c == '^');
        self.take_if(|c| c == ']');
    }

    /// Behind `(`: `?:`, `?=`, `?!`, `?>`, `?<=`, `?<!`, `?<name>`, or flags before `:` or `)`, if it is a group of such a kind.
    fn skip_kind_of_group(&mut self) -> bool {
        if !self.take_if(|c| c == '?') || self.take_if(|c| matches!(c, ':' | '=' | '!' | '>')) {
            return true;
        }
        if self.take_if(|c| c == '<') {
            if self.take_if(|c| matches!(c, '=' | '!')) {
                return true;
            }
            let begins_well = self.take_if(|c| c.is_ascii_alphabetic());
            while self.take_if(|c| c.is_ascii_alphanumeric()) {}
            return begins_well && self.take_if(|c| c == '>');
        }
        while self.take_if(|c| "idmsuxU-".contains(c)) {}
        // The end of the group is left where it is.
        self.take_if(|c| c == ':') || self.chars.get(self.at) == Some(&')')
    }

    /// Behind `{`: `n}`, `n,}` or `n,m}`.
    fn skip_count(&mut self) -> bool {
        let mut number = || {
            let from = self.at;
            while self.take_if(|c| c.is_ascii_digit()) {}
            self.at > from
        };
        if !number() {
            return false;
        }
        if self.take_if(|c| c == ',') {
            while self.take_if(|c| c.is_ascii_digit()) {}
        }
        self.take_if(|c| c == '}')
    }
}

#[cfg(test)]
mod tests {
    use super::is_well_formed;

    /// As Java 17 compiles them.
    #[test]
    fn what_java_takes_is_taken() {
        for good in [
            "",
            "a.*",
            "a|",
            "(a|b)+",
            "(?:a)?",
            "(?i)a",
            "(?i:a)",
            "(?<n>a)\\k<n>",
            "(?>a)b++",
            "(?!a)b",
            "(?<=a)b",
            "[a&&[b]]",
            "[^]a]",
            "[]a]",
            "[\\]]",
            "]",
            "}",
            "a{2}",
            "a{2}?",
            "a{2}{3}",
            "{2}",
            "a|{2}",
            "\\c(",
            "a{99999}",
            "\\Q([*\\E",
            "\\Q(",
            "\\.",
            "a*?",
            "\\p{IsLatin}&&[a]",
        ] {
            assert!(is_well_formed(good), "{good}");
        }
        for bad in [
            "(", ")", "[a", "[", "[]", "*a", "+", "a**", "(*a)", "|*", "{", "a{", "a{x}", "\\", "[\\", "(?", "(?z)",
            "(?<>a)", "(?<n", "a|?", "[a[b]",
        ] {
            assert!(!is_well_formed(bad), "{bad}");
        }
    }
}
