//! Feature levels that are finalised: all nodes work at them.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_wire::records::FeatureLevelRecord;

use crate::features::{METADATA_VERSION, is_here};
use crate::record::Record;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    levels: OrdMap<Arc<str>, i16>,
}

/// The levels of one feature that a node can work at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SupportedLevels {
    pub feature: Arc<str>,
    pub min: i16,
    pub max: i16,
}

impl Features {
    /// 0 for a feature that is not finalised, as in Kafka.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// The finalised features and their levels, sorted by name, without those that are only kept for Kafka.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        self.mentioned().filter(|(name, level)| *level != 0 && is_here(name))
    }

    /// Every feature of which the log has said a level, be it 0, which takes the feature back.
    pub(crate) fn mentioned(&self) -> impl Iterator<Item = (&str, i16)> {
        self.levels.iter().map(|(name, level)| (&**name, *level))
    }

    pub(crate) fn is_mentioned(&self, name: &str) -> bool {
        self.levels.contains_key(name)
    }

    pub(super) fn finalise(&mut self, record: &FeatureLevelRecord) {
        self.levels.insert(record.name.clone(), record.feature_level);
    }

    /// Level 0 is among them: a feature that was taken back must not be finalised anew.
    pub(super) fn records(&self) -> impl Iterator<Item = Record> {
        let (first, others): (Vec<_>, Vec<_>) = self.levels.iter().partition(|(name, _)| &***name == METADATA_VERSION);
        first.into_iter().chain(others).map(|(name, &feature_level)| {
            Record::FeatureLevel(FeatureLevelRecord { name: name.clone(), feature_level, ..Default::default() })
        })
    }
}
