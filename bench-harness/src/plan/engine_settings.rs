//! How an engine is set up, for the reader of the results.

use kv::Durability;
use serde::{Deserialize, Serialize};

use crate::engines::Registration;

/// How an engine is set up in a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct EngineSettings {
    /// The engine's name.
    pub(crate) engine: String,
    /// Its version.
    pub(crate) version: String,
    /// The classes that the run asks for, each with the one that the engine keeps.
    pub(crate) classes: String,
    /// Its settings under those classes.
    pub(crate) settings: String,
}

/// Adds the settings of an engine under a class, or the class to the same settings.
pub(super) fn add_settings(
    engine_settings: &mut Vec<EngineSettings>,
    engine: &Registration,
    durability: Durability,
    settings: String,
) {
    match engine_settings.last_mut() {
        Some(last) if last.engine == engine.name && last.settings == settings => {
            let class = durability.to_string();
            if last.classes.split(", ").all(|known| known != class) {
                last.classes = format!("{}, {class}", last.classes);
            }
        }
        _ => engine_settings.push(EngineSettings {
            engine: engine.name.into(),
            version: engine.version.into(),
            classes: durability.to_string(),
            settings,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_named_once_for_workloads_with_values_of_different_sizes() {
        let engine = crate::engines::own()[0];
        let mut engine_settings = Vec::new();
        for class in [Durability::Buffered, Durability::Buffered, Durability::Sync] {
            add_settings(&mut engine_settings, &engine, class, "defaults".into());
        }
        assert_eq!(engine_settings.len(), 1);
        assert_eq!(engine_settings[0].classes, "buffered, sync");
    }
}
