//! Logs on the disk that loses, tears and refuses, and on the real one.

mod aborted;
mod clean;
mod copy;
mod crash;
mod damage;
mod faulty;
mod flush;
mod keyed;
mod log;
mod meanwhile;
mod real;
mod retention;
mod stall;
mod support;
