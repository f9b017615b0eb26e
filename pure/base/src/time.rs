//! The time, as an argument.

/// One moment on both clocks. Timers use `mono_ms`; what is stored or shown uses `wall_ms`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// Milliseconds of a clock that never goes back, from an arbitrary start.
    pub mono_ms: i64,
    /// Milliseconds since 1970-01-01 UTC; may jump.
    pub wall_ms: i64,
}
