//! Rust without its comments and literals, so that a banned word in a sentence is not taken for a call.

/// Blanks out comments, strings and character literals; lines keep their places.
pub fn blank(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = comment(rest).or_else(|| string(rest, &code)).or_else(|| character(rest));
        let length = skipped.unwrap_or(first.len_utf8());
        let (part, behind) = rest.split_at(length);
        match skipped {
            Some(_) => code.extend(part.chars().map(|c| if c == '\n' { '\n' } else { ' ' })),
            None => code.push_str(part),
        }
        rest = behind;
    }
    code
}

/// The bytes of the comment that begins here.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let (mut depth, mut at) = (0, 0);
    while at < rest.len() {
        match &rest.as_bytes()[at..] {
            [b'/', b'*', ..] => (depth, at) = (depth + 1, at + 2),
            [b'*', b'/', ..] if depth == 1 => return Some(at + 2),
            [b'*', b'/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
    }
    Some(rest.len())
}

/// The bytes of the string that begins here, `b`, `c` and `r` before it included.
fn string(rest: &str, before: &str) -> Option<usize> {
    let prefix = rest.bytes().take_while(|b| matches!(b, b'b' | b'c' | b'r')).count();
    let in_word = before.chars().last().is_some_and(|c| c.is_alphanumeric() || c == '_');
    if prefix > 2 || prefix > 0 && in_word {
        return None;
    }
    let raw = rest[..prefix].contains('r');
    let hashes = if raw { rest[prefix..].bytes().take_while(|b| *b == b'#').count() } else { 0 };
    let body = prefix + hashes + 1;
    if rest.as_bytes().get(body - 1) != Some(&b'"') {
        return None;
    }
    if raw {
        let end = format!("\"{}", "#".repeat(hashes));
        return Some(rest[body..].find(&end).map_or(rest.len(), |at| body + at + end.len()));
    }
    let mut escaped = false;
    for (at, c) in rest[body..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(body + at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// The bytes of the character literal that begins here; a lifetime is none.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        let after = escape.chars().next()?.len_utf8();
        return escape[after..].find('\'').map(|at| 2 + after + at + 1);
    }
    let first = inner.chars().next()?.len_utf8();
    inner[first..].starts_with('\'').then_some(first + 2)
}

#[cfg(test)]
mod tests {
    use super::blank;

    fn check(text: &str, code: &str) {
        let blanked = blank(text);
        assert_eq!(blanked.split_whitespace().collect::<Vec<_>>().join(" "), code, "{text}");
        assert_eq!(blanked.lines().count(), text.lines().count(), "{text}");
    }

    #[test]
    fn comments() {
        check("a // todo!()\nb", "a b");
        check("a /* x /* y */\n z */ b", "a b");
        check("a / b", "a / b");
    }

    #[test]
    fn strings() {
        check(r#"f("dbg!(\"x\")", 1)"#, "f( , 1)");
        check(r##"f(r#"a "quoted" todo!()"#, br"x", c"y")"##, "f( , , )");
        check("let number = \"multi\nline\";", "let number = ;");
        check("for r in b {}", "for r in b {}");
        check("barb\"x\"", "barb");
    }

    #[test]
    fn characters_and_lifetimes() {
        check("x == '\"' && y == '\\'' && z == '\\u{41}'", "x == && y == && z ==");
        check("fn f<'a>(x: &'a str) -> &'static str {}", "fn f<'a>(x: &'a str) -> &'static str {}");
    }
}
