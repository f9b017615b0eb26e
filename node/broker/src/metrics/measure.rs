//! Something that happens again and again, and how long or how large it is each time.

use ottla_observe::{Counter, Histogram, QUANTILES, Recent};

/// Quantiles with the texts that stand for them.
pub type Quantiles = [(&'static str, f64); QUANTILES.len()];

/// The unit of what is recorded in microseconds and told in milliseconds.
pub const MICROS: f64 = 1e-3;

#[derive(Debug, Default)]
pub struct Measure {
    count: Counter,
    values: Histogram,
}

impl Measure {
    /// At this time ([`Rt::mono_us`](ottla_rt::Rt::mono_us)).
    pub fn record(&self, value: u64, now_us: i64) {
        self.count.add(1);
        self.values.record(value, 1, now_us);
    }

    /// What began then took until now, in microseconds.
    pub fn took(&self, began_us: i64, now_us: i64) {
        self.record(u64::try_from(now_us - began_us).unwrap_or(0), now_us);
    }

    pub fn count(&self) -> u64 {
        self.count.get()
    }

    pub fn recent(&self, now_us: i64) -> Recent {
        self.values.recent(now_us)
    }
}

/// The quantiles of what was recorded in units of this size.
pub fn named(recent: &Recent, unit: f64) -> Option<Quantiles> {
    let quantiles = recent.quantiles()?;
    let mut named = QUANTILES.map(|(_, name)| (name, 0.0));
    named.iter_mut().zip(quantiles).for_each(|((_, value), quantile)| *value = quantile * unit);
    Some(named)
}
