//! The lines of a TOML file, as far as `Cargo.toml` and `layers.toml` use it: sections, and keys with a value on one line.

/// One `key = value`.
#[derive(Debug, PartialEq)]
pub struct Entry<'a> {
    /// Counted from 1.
    pub line: usize,
    /// The header above, without its brackets.
    pub section: &'a str,
    /// Without quotes.
    pub key: &'a str,
    pub value: &'a str,
}

impl<'a> Entry<'a> {
    /// The strings of the value, be it a string or a list of them.
    pub fn strings(&self) -> Vec<&'a str> {
        self.value.split('"').skip(1).step_by(2).collect()
    }
}

pub fn entries(text: &str) -> Vec<Entry<'_>> {
    let mut section = "";
    let mut entries = Vec::new();
    for (n, line) in text.lines().enumerate() {
        let line = line.trim();
        if let Some(header) = line.strip_prefix('[') {
            section = header.trim_end_matches(']');
        } else if let Some((key, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            entries.push(Entry { line: n + 1, section, key: key.trim().trim_matches('"'), value: value.trim() });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_keys_and_lists() {
        let text = "a = 1\n# b = 2\n[one.two]\n\"c/d\" = [\"x\", \"y z\"]\ne.workspace = true\n";
        let found = entries(text);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], Entry { line: 1, section: "", key: "a", value: "1" });
        assert_eq!((found[1].line, found[1].section, found[1].key), (4, "one.two", "c/d"));
        assert_eq!(found[1].strings(), ["x", "y z"]);
        assert_eq!(found[2].key, "e.workspace");
    }
}
