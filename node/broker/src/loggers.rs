//! Loggers: of what happens in which part of Ottla how much is logged (KIP-412).
//!
//! Kafka's loggers are its classes, a tree with `root` at the top. Here a logger is a crate that logs, and all stand below
//! `root`: one without a level of its own has that of `root`. Levels change at once, and end with the process.
//!
//! Where lines go, and what leaves some out, is the business of whoever runs the broker: it gives a function that is told of
//! all levels when one has changed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::level_filters::LevelFilter;

/// The logger that has a level always.
pub const ROOT: Logger = Logger("root");
/// The others.
const CRATES: [Logger; 5] =
    [Logger("ottla"), Logger("ottla_broker"), Logger("ottla_http"), Logger("ottla_net"), Logger("ottla_rt")];

/// One of those that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Logger(&'static str);

impl Logger {
    pub fn find(name: &str) -> Option<Logger> {
        Logger::all().find(|logger| logger.0 == name)
    }

    pub fn name(self) -> &'static str {
        self.0
    }

    fn all() -> impl Iterator<Item = Logger> {
        [ROOT].into_iter().chain(CRATES)
    }
}

/// Kafka's levels, from the least that is logged to the most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    Fatal,
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

impl Level {
    pub const ALL: [Level; 6] = [Level::Fatal, Level::Error, Level::Warn, Level::Info, Level::Debug, Level::Trace];

    /// As Kafka takes it: in capitals.
    pub fn find(name: &str) -> Option<Level> {
        Level::ALL.into_iter().find(|level| level.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::Fatal => "FATAL",
            Level::Error => "ERROR",
            Level::Warn => "WARN",
            Level::Info => "INFO",
            Level::Debug => "DEBUG",
            Level::Trace => "TRACE",
        }
    }

    /// What is let through. Nothing that Ottla logs is fatal.
    pub fn filter(self) -> LevelFilter {
        match self {
            Level::Fatal => LevelFilter::OFF,
            Level::Error => LevelFilter::ERROR,
            Level::Warn => LevelFilter::WARN,
            Level::Info => LevelFilter::INFO,
            Level::Debug => LevelFilter::DEBUG,
            Level::Trace => LevelFilter::TRACE,
        }
    }
}

/// The levels of all loggers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Levels {
    root: Level,
    own: BTreeMap<Logger, Level>,
}

impl Default for Levels {
    fn default() -> Levels {
        Levels { root: Level::Info, own: BTreeMap::new() }
    }
}

impl Levels {
    pub fn set(&mut self, logger: Logger, level: Level) {
        if logger == ROOT {
            self.root = level;
        } else {
            self.own.insert(logger, level);
        }
    }

    /// Leaves a logger to `root`. `root` itself stays as it is.
    pub fn unset(&mut self, logger: Logger) {
        self.own.remove(&logger);
    }

    pub fn of(&self, logger: Logger) -> Level {
        self.own.get(&logger).copied().unwrap_or(self.root)
    }

    /// The level of what is logged with this target, the path of a module.
    pub fn of_target(&self, target: &str) -> Level {
        let name = target.split("::").next().unwrap_or(target);
        self.of(Logger::find(name).unwrap_or(ROOT))
    }

    /// `root` first.
    pub fn all(&self) -> impl Iterator<Item = (Logger, Level)> {
        Logger::all().map(|logger| (logger, self.of(logger)))
    }
}

/// The loggers of one broker.
pub struct Loggers {
    levels: Mutex<Levels>,
    tell: Box<dyn Fn(&Levels) + Send + Sync>,
}

impl Loggers {
    /// With the levels that [`Levels::default`] has, of which `tell` is not told.
    pub fn new(tell: impl Fn(&Levels) + Send + Sync + 'static) -> Loggers {
        Loggers { levels: Mutex::default(), tell: Box::new(tell) }
    }

    pub(crate) fn levels(&self) -> Levels {
        self.lock().clone()
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut Levels) -> T) -> T {
        let mut levels = self.lock();
        let before = levels.clone();
        let outcome = change(&mut levels);
        if *levels != before {
            (self.tell)(&levels);
            for (logger, level) in levels.all().filter(|&(logger, level)| before.of(logger) != level) {
                tracing::info!(logger = logger.name(), level = level.name(), "the level of a logger has changed");
            }
        }
        outcome
    }

    fn lock(&self) -> MutexGuard<'_, Levels> {
        self.levels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Loggers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Loggers").field("levels", &self.levels).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_no_level_has_that_of_the_root() {
        let net = Logger::find("ottla_net").unwrap();
        let mut levels = Levels::default();
        let check = |levels: &Levels, expected: [Level; 4]| {
            let targets = ["ottla_net::conn", "ottla_net", "ottla_network", "elsewhere::deep"];
            assert_eq!(targets.map(|target| levels.of_target(target)), expected, "{levels:?}");
        };
        check(&levels, [Level::Info; 4]);
        levels.set(net, Level::Trace);
        check(&levels, [Level::Trace, Level::Trace, Level::Info, Level::Info]);
        levels.set(ROOT, Level::Error);
        check(&levels, [Level::Trace, Level::Trace, Level::Error, Level::Error]);
        levels.unset(net);
        levels.unset(ROOT);
        check(&levels, [Level::Error; 4]);
    }

    #[test]
    fn somebody_is_told_of_changes_only() {
        let told = std::sync::Arc::new(Mutex::new(Vec::new()));
        let ear = told.clone();
        let loggers = Loggers::new(move |levels| ear.lock().unwrap().push(levels.of(ROOT)));
        loggers.change(|_| ());
        loggers.change(|levels| levels.set(ROOT, Level::Info));
        loggers.change(|levels| levels.set(ROOT, Level::Warn));
        assert_eq!(*told.lock().unwrap(), [Level::Warn]);
        assert_eq!(loggers.levels().of(ROOT), Level::Warn);
    }
}
