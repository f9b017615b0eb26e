//! A whole broker on the faulty disk, with virtual time, and one client.

mod client_metrics;
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
mod listeners;
mod loggers;
mod metrics;
mod moves;
mod opening;
mod panics;
mod quiet;
mod snapshots;
mod support;
mod transactions;
mod upkeep;
mod web;
mod whereabouts;
