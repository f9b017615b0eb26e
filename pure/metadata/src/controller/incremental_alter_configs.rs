//! IncrementalAlterConfigs: some configs of some resources (KIP-339). What is not named stays.

use std::sync::Arc;

use ottla_config::ServerConfig;
use ottla_wire::messages::{IncrementalAlterConfigsRequest, IncrementalAlterConfigsResponse};

use super::Step;
use super::altered::{self, Mode};

#[derive(Clone, Debug)]
pub struct IncrementalAlterConfigs {
    pub request: IncrementalAlterConfigsRequest,
    /// Says how far a resource may go.
    pub server: Arc<ServerConfig>,
}

pub(super) fn decide(step: &mut Step<'_>, command: IncrementalAlterConfigs) -> IncrementalAlterConfigsResponse {
    let IncrementalAlterConfigs { request, server } = command;
    let mode = if request.validate_only { Mode::Validate } else { Mode::Write };
    let responses = altered::decide(step, &request.resources, &server, mode);
    IncrementalAlterConfigsResponse { responses, ..Default::default() }
}
