//! Which names a topic may have.
//!
//! A name is part of a directory's name, so it is short and plain. It is also part of metric names, where Kafka puts `_`
//! for `.`: two topics whose names differ only in that would share their metrics, and are said to collide.

/// Longest name, so that `<name>-<partition>.<32 hex digits>-delete` still is a file name.
pub const BYTES_MAX: usize = 249;

/// The metadata log itself, which is no topic that a client can see.
pub const CLUSTER_METADATA: &str = "__cluster_metadata";
/// The log of the group coordinators.
pub const CONSUMER_OFFSETS: &str = "__consumer_offsets";

const INTERNAL: [&str; 3] = [CONSUMER_OFFSETS, "__share_group_state", "__transaction_state"];

/// Why no topic can have a name. The text is for clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidName {
    #[error("a topic's name cannot be empty")]
    Empty,
    #[error("a topic cannot be named \".\" or \"..\"")]
    Dots,
    #[error("a topic's name cannot be longer than {BYTES_MAX} characters")]
    TooLong,
    #[error("a topic's name can only have ASCII letters, digits, '.', '_' and '-'")]
    Character,
}

pub fn check(name: &str) -> Result<(), InvalidName> {
    match name {
        "" => Err(InvalidName::Empty),
        "." | ".." => Err(InvalidName::Dots),
        _ if name.len() > BYTES_MAX => Err(InvalidName::TooLong),
        _ if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-')) => {
            Err(InvalidName::Character)
        }
        _ => Ok(()),
    }
}

/// Whether the brokers keep their own state in this topic. Clients may create and read it, and not write to it.
pub fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// What colliding names have in common; `None` for a name that cannot collide.
pub(crate) fn collision_key(name: &str) -> Option<String> {
    name.contains(['.', '_']).then(|| name.replace('.', "_"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_are_refused() {
        let long = "x".repeat(BYTES_MAX + 1);
        for (name, why) in [
            ("", InvalidName::Empty),
            (".", InvalidName::Dots),
            ("..", InvalidName::Dots),
            (&long, InvalidName::TooLong),
            ("a b", InvalidName::Character),
            ("a/b", InvalidName::Character),
            ("é", InvalidName::Character),
            ("a\0", InvalidName::Character),
            ("a\u{fffd}", InvalidName::Character),
        ] {
            assert_eq!(check(name), Err(why), "{name:?}");
        }
    }

    #[test]
    fn names_that_are_taken() {
        for name in ["a", "...", "-", "A.b_c-9", "__consumer_offsets", &"x".repeat(BYTES_MAX)] {
            assert_eq!(check(name), Ok(()), "{name:?}");
        }
    }

    #[test]
    fn names_collide_if_dots_and_underscores_are_all_that_differs() {
        assert_eq!(collision_key("a.b_c"), collision_key("a_b.c"));
        assert_ne!(collision_key("a.b"), collision_key("a-b"));
        assert_eq!(collision_key("ab"), None);
    }
}
