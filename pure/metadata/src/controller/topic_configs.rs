//! The configs of new topics: what a request sets, and what the answer lists.
//!
//! To list all configs of a topic takes longer than all else that it takes to make one, and most topics of a request have
//! the same. So the last list is kept.

use std::sync::Arc;

use ottla_config::{Overrides, ServerConfig, TopicConfigError, TopicLayers, requested};
use ottla_wire::ErrorCode;
use ottla_wire::messages::{CreatableTopicConfig, CreatableTopicConfigs};

use super::Refusal;
use crate::image::Configs;

pub(super) struct TopicConfigs<'a> {
    /// The configs that there are.
    configs: Configs,
    server: &'a ServerConfig,
    last: Option<(Overrides, Vec<CreatableTopicConfigs>)>,
}

impl<'a> TopicConfigs<'a> {
    pub fn new(configs: Configs, server: &'a ServerConfig) -> TopicConfigs<'a> {
        TopicConfigs { configs, server, last: None }
    }

    pub fn server(&self) -> &ServerConfig {
        self.server
    }

    /// What a topic is asked to have, if it can.
    pub fn check(&self, asked: &[CreatableTopicConfig]) -> Result<Overrides, Refusal> {
        let invalid = |why: TopicConfigError| Refusal { code: ErrorCode::InvalidConfig, message: why.to_string() };
        let asked = asked.iter().map(|config| (config.name.clone(), config.value.clone()));
        let configs = requested(asked).map_err(invalid)?;
        self.layers(&configs).check().map_err(invalid)?;
        Ok(configs)
    }

    /// All configs that a topic has with what is set for it.
    pub fn list(&mut self, configs: &Overrides) -> Vec<CreatableTopicConfigs> {
        if let Some((of, list)) = &self.last
            && of == configs
        {
            return list.clone();
        }
        let described = self.layers(configs).describe_created().into_iter();
        let list: Vec<_> = described
            .map(|described| CreatableTopicConfigs {
                name: described.name.into(),
                value: described.value.map(Arc::from),
                read_only: described.is_read_only,
                config_source: described.source.id(),
                is_sensitive: described.is_sensitive,
                ..Default::default()
            })
            .collect();
        self.last = Some((configs.clone(), list.clone()));
        list
    }

    fn layers<'b>(&'b self, topic: &'b Overrides) -> TopicLayers<'b> {
        TopicLayers { topic, server: self.configs.layers(self.server) }
    }
}
