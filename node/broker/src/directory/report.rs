//! Telling the controller which log directories have failed, and which take no new replicas.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use ottla_base::Uuid;
use ottla_config::ServerConfig;
use ottla_metadata::Image;
use ottla_rt::{Rt, Stop};

use super::Directories;
use crate::control::{Control, Report};
use crate::topics::Published;

/// The pause after the controller could not be told.
const RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub struct Reporter {
    pub rt: Rt,
    pub directories: Arc<Directories>,
    pub control: Arc<Control>,
    pub config: Arc<ServerConfig>,
    pub published: Arc<ArcSwap<Published>>,
}

impl Reporter {
    /// Reports what there is now, and whenever it may have changed. Runs until `stop`.
    pub async fn run(self, mut stop: Stop) {
        loop {
            let failed =
                self.directories.iter().filter(|directory| directory.has_failed()).map(|directory| directory.id);
            let report = Report {
                failed: failed.collect(),
                cordoned: cordoned(&self.directories, &self.config, &self.published.load().image),
                is_any_left: self.directories.online().next().is_some(),
            };
            let told = self.control.report_directories(report).await;
            tokio::select! {
                biased;
                () = stop.told() => return,
                () = self.rt.sleep(RETRY), if told.is_err() => {}
                () = self.directories.signals.report.notified() => {}
            }
        }
    }
}

/// The directories that `cordoned.log.dirs` names (KIP-1066).
pub fn cordoned(directories: &Directories, config: &ServerConfig, image: &Image) -> Vec<Uuid> {
    let paths = image.configs().layers(config).cordoned_log_dirs();
    let is_named = |path: &str| paths.iter().any(|cordoned| cordoned == path);
    let named =
        directories.iter().filter(|directory| directory.is_data && is_named(&directory.path().to_string_lossy()));
    named.map(|directory| directory.id).collect()
}
