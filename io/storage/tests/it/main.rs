//! Logs on the disk that loses, tears and refuses, and on the real one.

mod crash;
mod damage;
mod faulty;
mod flush;
mod log;
mod real;
mod stall;
mod support;
