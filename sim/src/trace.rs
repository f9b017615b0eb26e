//! The story of a run as text, for people and for comparing two runs.

use std::fmt;
use std::io::Write;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ottla_rt::Rt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format;
use tracing_subscriber::fmt::time::FormatTime;

/// Where the lines go; nowhere, if nobody reads them. Clones write to the same place.
#[derive(Clone)]
pub struct Trace(Option<Arc<Mutex<dyn Write + Send>>>);

impl Trace {
    pub fn none() -> Trace {
        Trace(None)
    }

    pub fn to(writer: impl Write + Send + 'static) -> Trace {
        Trace(Some(Arc::new(Mutex::new(writer))))
    }

    pub(crate) fn line(&self, rt: &Rt, who: &str, what: impl fmt::Display) {
        if let Some(mut writer) = self.writer() {
            // Whoever read the story has gone: that is no fault of the story.
            let _ = writeln!(writer, "{} {who:9} {what}", Time(rt));
        }
    }

    /// Runs `f`, with what the brokers log going into the trace.
    pub(crate) fn with_logs<T>(&self, rt: &Rt, f: impl FnOnce() -> T) -> T {
        if self.0.is_none() {
            return f();
        }
        let logs = tracing_subscriber::fmt()
            .with_writer(self.clone())
            .with_timer(Clock(rt.clone()))
            .with_ansi(false)
            .with_target(false)
            .finish();
        tracing::subscriber::with_default(logs, f)
    }

    fn writer(&self) -> Option<MutexGuard<'_, dyn Write + Send + 'static>> {
        self.0.as_ref().map(|writer| writer.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Trace" } else { "no Trace" })
    }
}

impl Write for Trace {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.writer().map_or(Ok(bytes.len()), |mut writer| writer.write(bytes))
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.writer().map_or(Ok(()), |mut writer| writer.flush())
    }
}

impl MakeWriter<'_> for Trace {
    type Writer = Trace;

    fn make_writer(&self) -> Trace {
        self.clone()
    }
}

/// Seconds since the world began.
struct Time<'a>(&'a Rt);

impl fmt::Display for Time<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.0.now().mono_ms;
        write!(f, "{:4}.{:03}", ms / 1000, ms % 1000)
    }
}

struct Clock(Rt);

impl FormatTime for Clock {
    fn format_time(&self, writer: &mut format::Writer<'_>) -> fmt::Result {
        write!(writer, "{}", Time(&self.0))
    }
}
