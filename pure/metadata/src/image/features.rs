//! Feature levels that are finalised: all nodes work at them.

use std::sync::Arc;

use imbl::OrdMap;
use ottla_wire::records::FeatureLevelRecord;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Features {
    levels: OrdMap<Arc<str>, i16>,
}

impl Features {
    /// 0 for a feature that is not finalised, as in Kafka.
    pub fn level(&self, name: &str) -> i16 {
        self.levels.get(name).copied().unwrap_or(0)
    }

    /// The finalised features and their levels, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, i16)> {
        self.levels.iter().map(|(name, level)| (&**name, *level)).filter(|(_, level)| *level != 0)
    }

    /// Whether the log has ever said a level, be it 0, which takes the feature back.
    pub(crate) fn is_mentioned(&self, name: &str) -> bool {
        self.levels.contains_key(name)
    }

    pub(super) fn finalise(&mut self, record: &FeatureLevelRecord) {
        self.levels.insert(record.name.clone(), record.feature_level);
    }
}
