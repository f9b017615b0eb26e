//! A whole broker on the faulty disk, with virtual time, and one client.

mod cold;
mod epochs;
mod failing;
mod opening;
mod panics;
mod support;
