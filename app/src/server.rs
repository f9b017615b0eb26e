//! `ottla server`: one broker in this process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, ensure};
use ottla_broker::Loggers;
use ottla_config::ServerConfig;
use ottla_net::Network;
use ottla_rt::{Terminate, Threads};
use ottla_storage::disk::RealDisk;

use crate::logging;

/// What still blocks a thread when the broker has stopped is given this long.
const THREADS_LIMIT: Duration = Duration::from_secs(1);

#[derive(Debug, clap::Args)]
pub struct Args {
    /// A `server.properties` as Kafka reads it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Sets one key; wins over the file. May be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    set: Vec<(String, String)>,
}

fn key_value(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or_else(|| format!("{text:?} is not KEY=VALUE"))?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}

pub fn run(args: &Args) -> ExitCode {
    let loggers = logging::start();
    match serve(args, loggers) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(args: &Args, loggers: Loggers) -> anyhow::Result<()> {
    let (threads, rt) = Threads::start()?;
    let config = load(args)?;
    let ended = threads.block_on(async {
        let mut terminate = Terminate::listen()?;
        let start =
            ottla_broker::start(rt.clone(), Arc::new(RealDisk), Network::Real, Arc::new(config), Arc::new(loggers));
        let mut running = terminate.or(start).await.context("ended by a signal while it started")??;
        for address in running.addresses() {
            writeln!(std::io::stdout(), "ottla ready on {address} in {} ms", rt.now().mono_ms)?;
        }
        if let Some(address) = running.http_address() {
            writeln!(std::io::stdout(), "ottla metrics on http://{address}/metrics")?;
        }
        let has_failed = terminate.or(running.failed()).await.is_some();
        tracing::info!("stopping");
        // Whoever asks twice does not want to wait.
        let stopped = terminate.or(running.stop()).await.context("ended by a second signal before it had stopped")?;
        stopped.context("not stopped cleanly")?;
        ensure!(!has_failed, "stopped because a task has panicked");
        anyhow::Ok(())
    });
    threads.stop(THREADS_LIMIT);
    ended
}

fn load(args: &Args) -> anyhow::Result<ServerConfig> {
    let file = match &args.config {
        Some(path) => Some(std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?),
        None => None,
    };
    let (config, warnings) = ServerConfig::load(file.as_deref(), &args.set)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(config)
}
