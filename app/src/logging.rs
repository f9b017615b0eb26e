//! What is printed on standard error of all that is logged. The levels of the loggers can change while it is.

use ottla_broker::{Levels, Loggers};
use tracing::{Metadata, Subscriber};
use tracing_subscriber::filter::FilterFn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt, registry, reload};

/// For as long as the process lives.
pub fn start() -> Loggers {
    let (printer, change) = printer(std::io::stderr);
    printer.init();
    Loggers::new(change)
}

/// What prints lines, and what changes which ones.
fn printer<W>(writer: W) -> (impl Subscriber + Send + Sync, impl Fn(&Levels) + Send + Sync)
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let (filter, handle) = reload::Layer::new(filter(&Levels::default()));
    let lines = fmt::layer().with_writer(writer).with_ansi(false).with_target(false).with_filter(filter);
    // It fails only where there is nothing that prints any more.
    let change = move |levels: &Levels| drop(handle.reload(self::filter(levels)));
    (registry().with(lines), change)
}

type Filter = FilterFn<Box<dyn Fn(&Metadata<'_>) -> bool + Send + Sync>>;

fn filter(levels: &Levels) -> Filter {
    let most = levels.all().map(|(_, level)| level.filter()).max();
    let levels = levels.clone();
    let is_printed = move |event: &Metadata<'_>| *event.level() <= levels.of_target(event.target()).filter();
    let filter = FilterFn::new(Box::new(is_printed) as Box<dyn Fn(&Metadata<'_>) -> bool + Send + Sync>);
    match most {
        Some(most) => filter.with_max_level_hint(most),
        None => filter,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use ottla_broker::{Level, Logger, ROOT};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_level_changes_what_is_printed() {
        let paper = Paper::default();
        let writer = paper.clone();
        let (printer, change) = printer(move || writer.clone());
        tracing::subscriber::with_default(printer, || {
            let check = |expected: &[&str]| {
                tracing::error!(target: "ottla_broker::upkeep", "broker-error");
                tracing::debug!(target: "ottla_broker::upkeep", "broker-debug");
                tracing::info!(target: "ottla_net::conn", "net-info");
                tracing::trace!(target: "ottla_net::conn", "net-trace");
                let text = String::from_utf8(std::mem::take(&mut *paper.0.lock().unwrap())).unwrap();
                let printed: Vec<_> = text.lines().filter_map(|line| line.split(' ').next_back()).collect();
                assert_eq!(printed, expected);
            };
            let mut levels = Levels::default();
            let mut set = |logger: &str, level: Option<Level>| {
                let logger = Logger::find(logger).unwrap();
                match level {
                    Some(level) => levels.set(logger, level),
                    None => levels.unset(logger),
                }
                change(&levels);
            };
            check(&["broker-error", "net-info"]);
            set("ottla_net", Some(Level::Trace));
            check(&["broker-error", "net-info", "net-trace"]);
            set(ROOT.name(), Some(Level::Debug));
            check(&["broker-error", "broker-debug", "net-info", "net-trace"]);
            set("ottla_net", None);
            check(&["broker-error", "broker-debug", "net-info"]);
            set(ROOT.name(), Some(Level::Warn));
            check(&["broker-error"]);
            set("ottla_broker", Some(Level::Fatal));
            check(&[]);
        });
    }
}
