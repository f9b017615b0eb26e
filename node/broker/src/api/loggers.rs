//! The levels of this broker's loggers, as resources with configs (KIP-412): the configs are the loggers.
//!
//! The controller knows nothing of them: whoever is asked must be the broker that is named.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use ottla_base::NodeId;
use ottla_config::{Described, Source};
use ottla_wire::ErrorCode;
use ottla_wire::messages::incremental_alter_configs_request::{AlterConfigsResource, AlterableConfig};
use ottla_wire::messages::incremental_alter_configs_response::AlterConfigsResourceResponse;

use crate::loggers::{Level, Levels, Logger, Loggers, ROOT};

/// Kafka's id of the resource type.
pub const BROKER_LOGGER: i8 = 8;

/// Kafka's ids of operations.
const SET: i8 = 0;
const DELETE: i8 = 1;
const APPEND: i8 = 2;
const SUBTRACT: i8 = 3;

type Refused = (ErrorCode, String);

/// Whether a request is to be carried out, or only looked at.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Change,
    Validate,
}

/// All loggers of this broker, if it is the one that is named.
pub fn describe(loggers: &Loggers, node_id: NodeId, name: &str) -> Result<Vec<Described>, Refused> {
    check_broker(node_id, name)?;
    let described = |(logger, level): (Logger, Level)| Described {
        name: logger.name().to_owned(),
        value: Some(level.name().to_owned()),
        source: Source::Logger,
        kind: None,
        is_read_only: false,
        is_sensitive: false,
        synonyms: Vec::new(),
        documentation: Some(String::new()),
    };
    Ok(loggers.levels().all().map(described).collect())
}

/// Each resource is changed as a whole or not at all; none may stand among them twice.
pub fn alter(
    loggers: &Loggers,
    node_id: NodeId,
    resources: &[AlterConfigsResource],
    mode: Mode,
) -> Vec<AlterConfigsResourceResponse> {
    let mut times = BTreeMap::<&str, u32>::new();
    resources.iter().for_each(|resource| *times.entry(&resource.resource_name).or_default() += 1);
    let responses = |levels: &mut Levels| {
        let respond = |resource: &AlterConfigsResource| {
            let is_named_once = times[&*resource.resource_name] == 1;
            let outcome = if is_named_once { altered(levels, node_id, resource) } else { Err(named_again()) };
            let (code, message) = match outcome {
                Ok(after) if mode == Mode::Change => {
                    *levels = after;
                    (ErrorCode::None, None)
                }
                Ok(_) => (ErrorCode::None, None),
                Err((code, message)) => (code, Some(Arc::from(message))),
            };
            AlterConfigsResourceResponse {
                error_code: code.code(),
                error_message: message,
                resource_type: resource.resource_type,
                resource_name: resource.resource_name.clone(),
                ..Default::default()
            }
        };
        resources.iter().map(respond).collect()
    };
    loggers.change(responses)
}

fn named_again() -> Refused {
    (ErrorCode::InvalidRequest, "the resource stands in the request more than once".to_owned())
}

/// What the levels would be.
fn altered(levels: &Levels, node_id: NodeId, resource: &AlterConfigsResource) -> Result<Levels, Refused> {
    check_broker(node_id, &resource.resource_name)?;
    let mut seen = BTreeSet::new();
    if let Some(again) = resource.configs.iter().find(|config| !seen.insert(&config.name)) {
        let why = format!("{} stands in the request more than once", again.name);
        return Err((ErrorCode::InvalidRequest, why));
    }
    let mut after = levels.clone();
    resource.configs.iter().try_for_each(|config| apply(&mut after, config))?;
    Ok(after)
}

fn apply(levels: &mut Levels, config: &AlterableConfig) -> Result<(), Refused> {
    let AlterableConfig { name, config_operation, value, .. } = config;
    let invalid = |message: String| Err((ErrorCode::InvalidRequest, message));
    let find = || Logger::find(name).ok_or_else(|| (ErrorCode::InvalidConfig, format!("there is no logger {name}")));
    match (*config_operation, value) {
        (SET | APPEND | SUBTRACT, None) => invalid(format!("{name}: null is no level")),
        (SET, Some(value)) => {
            let logger = find()?;
            let Some(level) = Level::find(value) else {
                let names = Level::ALL.map(Level::name).join(", ");
                return Err((ErrorCode::InvalidConfig, format!("{name} = {value}: levels are {names}")));
            };
            levels.set(logger, level);
            Ok(())
        }
        (DELETE, _) => match find()? {
            ROOT => invalid(format!("{} has a level always", ROOT.name())),
            logger => {
                levels.unset(logger);
                Ok(())
            }
        },
        (APPEND | SUBTRACT, _) => invalid(format!("{name} has one level, to which nothing is added")),
        (other, _) => invalid(format!("{name}: there is no operation {other}")),
    }
}

/// Its id can be written in many ways.
fn check_broker(node_id: NodeId, name: &str) -> Result<(), Refused> {
    match name.parse::<i32>() {
        Ok(asked) if asked == node_id.0 => Ok(()),
        Ok(asked) => {
            Err((ErrorCode::InvalidRequest, format!("this is broker {}; ask broker {asked} itself", node_id.0)))
        }
        Err(_) => Err((ErrorCode::InvalidRequest, format!("{name:?} is no broker id"))),
    }
}
