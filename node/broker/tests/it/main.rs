//! A whole broker on the faulty disk, with virtual time, and one client.

mod cold;
mod directories;
mod epochs;
mod failing;
mod failing_moves;
mod from_kafka;
mod group_configs;
mod groups;
mod heap;
mod large_requests;
mod loggers;
mod metrics;
mod moves;
mod opening;
mod panics;
mod snapshots;
mod support;
mod transactions;
mod upkeep;
mod web;
mod whereabouts;
