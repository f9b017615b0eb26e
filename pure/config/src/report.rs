//! What the start of a server has to say about its configuration: errors that stop it, warnings that do not.
//!
//! All errors are found at once, so that nobody starts a server ten times to find ten mistakes. The value of a
//! password, or of a key that nobody knows, is never repeated.

use std::fmt;

/// Where a setting was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Of the file, counted from 1.
    Line(usize),
    CommandLine,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("line {line}: \\u needs the four hexadecimal digits of a UTF-16 character")]
    BadEscape { line: usize },
    /// `setting` is `key = value`, `expected` what the value is not.
    #[error("{setting}: {expected} ({place})")]
    BadValue { setting: String, expected: String, place: Place },
    /// The setting promises a protection that nobody would get.
    #[error("{setting}: Ottla does not give this protection yet, and refuses to start without it")]
    Unprotected { setting: String },
    /// The value is good by itself, but not beside others or not for Ottla.
    #[error("{key}: {why}")]
    Conflict { key: &'static str, why: String },
}

impl ConfigError {
    pub(crate) fn conflict(key: &'static str, why: impl Into<String>) -> ConfigError {
        ConfigError::Conflict { key, why: why.into() }
    }

    pub(crate) fn unprotected(key: &'static str, what: String) -> ConfigError {
        ConfigError::Unprotected { setting: format!("{key}: {what}") }
    }
}

/// All that is wrong, one error a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.0.iter().map(ConfigError::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for ConfigErrors {}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// `meant` is the nearest known key, if one is near.
    UnknownKey { key: String, place: Place, meant: Option<&'static str> },
    /// Known keys that are set and do nothing in this version.
    WithoutEffect { keys: Vec<String> },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::UnknownKey { key, place, meant: Some(meant) } => {
                write!(f, "unknown key {key} ({place}); did you mean {meant}?")
            }
            Warning::UnknownKey { key, place, meant: None } => write!(f, "unknown key {key} ({place})"),
            Warning::WithoutEffect { keys } => write!(f, "known keys without effect: {}", keys.join(", ")),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Line(line) => write!(f, "line {line}"),
            Place::CommandLine => f.write_str("command line"),
        }
    }
}
