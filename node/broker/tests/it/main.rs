//! A whole broker on the faulty disk, with virtual time, and one client.

mod cold;
mod directories;
mod epochs;
mod failing;
mod group_configs;
mod groups;
mod opening;
mod panics;
mod support;
mod transactions;
mod upkeep;
mod web;
