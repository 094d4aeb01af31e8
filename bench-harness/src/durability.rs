//! Durability classes by name. A result of one class is never ranked against a result of another.

use kv::Durability;

/// The names of the classes, weakest first.
pub(crate) const NAMES: [&str; 3] = ["none", "buffered", "sync"];

/// The class called `name`.
pub(crate) fn parse(name: &str) -> Result<Durability, String> {
    match name {
        "none" => Ok(Durability::None),
        "buffered" => Ok(Durability::Buffered),
        "sync" => Ok(Durability::Sync),
        _ => Err(crate::suggest::unknown("durability", name, NAMES)),
    }
}
