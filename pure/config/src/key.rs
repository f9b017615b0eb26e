//! How a configuration key is declared.
//!
//! Kafka tells a key's name, type, default, bounds, documentation and use in five places, and they drift. Here a key is
//! one block of a [`keys!`] table, read by everything: the start of the server, DescribeConfigs, the warnings.
//!
//! ```text
//! /// Its documentation, as DescribeConfigs returns it.
//! effect CONSTANT: type "name" = default, bounds, scope;
//! ```
//!
//! The effect is `acts`, `moot`, `later` or `refused` ([`Effect`]). The constant is there if code reads the key by itself: a
//! key without one cannot be read, so it cannot act unseen. Without `= default` the default is null, and the
//! constant's type is an `Option`.

use std::marker::PhantomData;

use crate::bounds::Bounds;
use crate::value::{self, Kind};

/// The name of a key, with the Rust type of its value.
#[derive(Debug)]
pub struct Key<T> {
    pub(crate) name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Key<T> {
    pub(crate) const fn new(name: &'static str) -> Key<T> {
        Key { name, value: PhantomData }
    }
}

/// One row of a table.
#[derive(Debug)]
pub struct Def {
    pub name: &'static str,
    pub kind: Kind,
    /// In its canonical form; `None` is Kafka's null.
    pub default: Option<&'static str>,
    pub bounds: Bounds,
    pub scope: Scope,
    pub effect: Effect,
    pub doc: &'static str,
}

/// Where a value of the key may come from, and who sees it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scope {
    /// A broker key: from the start of the server only.
    ReadOnly,
    /// A broker key that can change at run time, for each broker by itself.
    PerBroker,
    /// A broker key that can change at run time, for one broker or for all.
    ClusterWide,
    /// A topic key, and the broker keys that give its default, in order of precedence.
    Topic(&'static [Synonym]),
    /// A key of groups, and the broker keys behind it.
    Group(GovernedBy),
    /// A key of subscriptions to clients' metrics.
    ClientMetrics,
    /// Internal to Kafka: like `ReadOnly` or a topic key without synonyms, but DescribeConfigs shows it only if it is
    /// set.
    Hidden,
}

/// A broker key that gives the default of a topic key.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Synonym {
    pub name: &'static str,
    /// One unit of the broker key in units of the topic key: `log.roll.hours` counts 3,600,000 ms.
    pub unit: i64,
}

/// The broker keys behind a group key: the one that gives its default, and those between which a group's own value is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GovernedBy {
    pub default: Option<&'static str>,
    pub min: Option<&'static str>,
    pub max: Option<&'static str>,
}

/// A group key that no broker key has a say in.
pub(crate) const FREE: GovernedBy = GovernedBy { default: None, min: None, max: None };

pub(crate) const fn governed_by(default: &'static str) -> GovernedBy {
    GovernedBy { default: Some(default), ..FREE }
}

impl GovernedBy {
    pub(crate) const fn at_least(self, min: &'static str) -> GovernedBy {
        GovernedBy { min: Some(min), ..self }
    }

    pub(crate) const fn at_most(self, max: &'static str) -> GovernedBy {
        GovernedBy { max: Some(max), ..self }
    }
}

pub(crate) const fn same(name: &'static str) -> Synonym {
    Synonym { name, unit: 1 }
}

pub(crate) const fn minutes(name: &'static str) -> Synonym {
    Synonym { name, unit: 60_000 }
}

pub(crate) const fn hours(name: &'static str) -> Synonym {
    Synonym { name, unit: 3_600_000 }
}

/// What setting the key does in this version of Ottla.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// What its documentation says.
    Acts,
    /// Nothing: it is about a part of Kafka, such as its pools of threads, that Ottla has not. It is checked, kept and shown; the
    /// start warns of it.
    Moot,
    /// Nothing yet. It is checked, kept and shown; the start warns of it.
    Later,
    /// It promises a protection that Ottla does not give yet, such as authentication. Every value is refused but the
    /// default and an empty one, which promise nothing.
    Refused,
}

impl Def {
    /// The canonical form of a value, or why it is none.
    pub(crate) fn read(&self, text: &str) -> Result<String, BadValue> {
        value::canonical(self.kind, text)
            .filter(|canonical| self.bounds.allow(canonical))
            .ok_or(BadValue { kind: self.kind, bounds: self.bounds })
    }

    pub(crate) fn refuses(&self, canonical: &str) -> bool {
        self.effect == Effect::Refused && !canonical.is_empty() && self.default != Some(canonical)
    }

    pub(crate) fn is_sensitive(&self) -> bool {
        self.kind == Kind::Password
    }
}

/// A value that is not of the key's type or not in its bounds; says what would be.
#[derive(Debug, PartialEq)]
pub(crate) struct BadValue {
    kind: Kind,
    bounds: Bounds,
}

impl std::fmt::Display for BadValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let article = if self.kind == Kind::Int { "an" } else { "a" };
        match self.bounds {
            Bounds::Any => write!(f, "not {article} {}", self.kind),
            Bounds::NotEmpty => write!(f, "not a non-empty {}", self.kind),
            Bounds::SomeOf(names) => write!(f, "not a non-empty {} in [{}]", self.kind, names.join(", ")),
            bounds => write!(f, "not {article} {} in {bounds}", self.kind),
        }
    }
}

/// Declares the keys of one area: see the top of this file.
macro_rules! keys {
    ($(
        $(#[doc = $doc:literal])+
        $effect:ident $($constant:ident)?: $kind:ident $name:literal $(= $default:literal)?, $bounds:expr, $scope:expr;
    )+) => {
        $( keys!(@constant [$($constant)?] [$($doc)+] $kind $name [$($default)?]); )+

        pub(super) const TABLE: &[$crate::key::Def] = &[$(
            $crate::key::Def {
                name: $name,
                kind: keys!(@kind $kind),
                default: keys!(@default $($default)?),
                bounds: $bounds,
                scope: $scope,
                effect: keys!(@effect $effect),
                doc: concat!($($doc),+).trim_ascii(),
            }
        ),+];
    };

    (@constant [] $($rest:tt)*) => {};
    (@constant [$constant:ident] [$($doc:literal)+] $kind:ident $name:literal []) => {
        $(#[doc = $doc])+
        pub const $constant: $crate::key::Key<Option<keys!(@type $kind)>> = $crate::key::Key::new($name);
    };
    (@constant [$constant:ident] [$($doc:literal)+] $kind:ident $name:literal [$default:literal]) => {
        $(#[doc = $doc])+
        pub const $constant: $crate::key::Key<keys!(@type $kind)> = $crate::key::Key::new($name);
    };

    (@type boolean) => { bool };
    (@type int) => { i32 };
    (@type short) => { i16 };
    (@type long) => { i64 };
    (@type double) => { f64 };
    (@type string) => { String };
    (@type list) => { Vec<String> };

    (@kind boolean) => { $crate::value::Kind::Boolean };
    (@kind string) => { $crate::value::Kind::String };
    (@kind int) => { $crate::value::Kind::Int };
    (@kind short) => { $crate::value::Kind::Short };
    (@kind long) => { $crate::value::Kind::Long };
    (@kind double) => { $crate::value::Kind::Double };
    (@kind list) => { $crate::value::Kind::List };
    (@kind class) => { $crate::value::Kind::Class };
    (@kind password) => { $crate::value::Kind::Password };

    (@default) => { None };
    (@default $default:literal) => { Some(concat!($default)) };

    (@effect acts) => { $crate::key::Effect::Acts };
    (@effect moot) => { $crate::key::Effect::Moot };
    (@effect later) => { $crate::key::Effect::Later };
    (@effect refused) => { $crate::key::Effect::Refused };
}
pub(crate) use keys;

#[cfg(test)]
mod tests;
