//! Counters that every engine reports in the same form.

use std::borrow::Cow;
use std::fmt;

/// The unit of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
}

/// A label of a metric: its name and its value, for example `level` and `3`, or `strategy` and `leveled`.
pub type Label = (&'static str, Cow<'static, str>);

/// One named number, for the whole engine or for the part of it that the labels name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// The name, `snake_case`, without the unit.
    pub name: &'static str,
    /// The part of the engine that the number is about; empty for all of it.
    pub labels: Vec<Label>,
    /// The unit of the value.
    pub unit: Unit,
    /// How much, since the handle was opened or as of now.
    pub value: u64,
}

impl Metric {
    /// A number for the whole engine.
    pub fn new(name: &'static str, unit: Unit, value: u64) -> Self {
        Self { name, labels: Vec::new(), unit, value }
    }

    /// Adds a label.
    ///
    /// # Panics
    /// When the metric has that label already: that is a mistake in the engine.
    #[must_use]
    pub fn label(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        assert!(self.label_value(name).is_none(), "the label {name} is there already");
        self.labels.push((name, value.into()));
        self
    }

    /// The value of a label.
    pub fn label_value(&self, name: &str) -> Option<&str> {
        self.labels.iter().find(|(label, _)| *label == name).map(|(_, value)| &**value)
    }
}

/// The numbers of one engine, in a stable order.
///
/// ```
/// use kv::{Metric, Stats, Unit};
/// let stats = Stats::default()
///     .with("entries", Unit::Count, 70)
///     .with_metric(Metric::new("tables", Unit::Bytes, 4_096).label("level", "0"))
///     .with_metric(Metric::new("tables", Unit::Bytes, 65_536).label("level", "1"));
/// assert_eq!(stats.get("entries"), Some(70));
/// assert_eq!(stats.get_labelled("tables", &[("level", "1")]), Some(65_536));
/// assert_eq!(stats.sum("tables"), 69_632);
/// assert_eq!(stats.to_string(), "entries 70\ntables{level=0} 4096 bytes\ntables{level=1} 65536 bytes\n");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// The numbers.
    pub metrics: Vec<Metric>,
}

impl Stats {
    /// Adds a number for the whole engine.
    #[must_use]
    pub fn with(self, name: &'static str, unit: Unit, value: u64) -> Self {
        self.with_metric(Metric::new(name, unit, value))
    }

    /// Adds a number.
    #[must_use]
    pub fn with_metric(mut self, metric: Metric) -> Self {
        self.metrics.push(metric);
        self
    }

    /// The number called `name` for the whole engine: the one without labels.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.get_labelled(name, &[])
    }

    /// The number called `name` that has exactly these labels, in any order.
    pub fn get_labelled(&self, name: &str, labels: &[(&str, &str)]) -> Option<u64> {
        let has_labels = |metric: &&Metric| {
            metric.labels.len() == labels.len()
                && labels.iter().all(|(label, value)| metric.label_value(label) == Some(value))
        };
        let named = self.metrics.iter().filter(|metric| metric.name == name);
        named.into_iter().find(has_labels).map(|metric| metric.value)
    }

    /// The sum of all numbers called `name`, whatever their labels.
    pub fn sum(&self, name: &str) -> u64 {
        self.metrics.iter().filter(|metric| metric.name == name).map(|metric| metric.value).sum()
    }
}

/// One line for each number: name, labels in braces, value, unit.
impl fmt::Display for Stats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.metrics.iter().try_for_each(|metric| writeln!(f, "{metric}"))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)?;
        for (at, (name, value)) in self.labels.iter().enumerate() {
            write!(f, "{}{name}={value}", if at == 0 { "{" } else { "," })?;
        }
        f.write_str(if self.labels.is_empty() { " " } else { "} " })?;
        match self.unit {
            Unit::Count => write!(f, "{}", self.value),
            Unit::Bytes => write!(f, "{} bytes", self.value),
            Unit::Nanoseconds => write!(f, "{} ns", self.value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_labelled_number_is_not_taken_for_that_of_the_whole_engine() {
        let level = |level: u32, bytes| {
            let metric =
                Metric::new("written", Unit::Bytes, bytes).label("level", level.to_string());
            metric.label("strategy", "leveled")
        };
        let stats = Stats::default().with_metric(level(0, 5)).with_metric(level(1, 7));
        assert_eq!(stats.get("written"), None);
        let found = stats.get_labelled("written", &[("strategy", "leveled"), ("level", "1")]);
        assert_eq!(found, Some(7));
        assert_eq!(stats.get_labelled("written", &[("level", "1")]), None, "a label is missing");
        assert_eq!((stats.sum("written"), stats.sum("read")), (12, 0));
        assert!(stats.to_string().starts_with("written{level=0,strategy=leveled} 5 bytes\n"));
    }

    #[test]
    fn a_time_is_shown_in_nanoseconds() {
        assert_eq!(Metric::new("stalled", Unit::Nanoseconds, 12).to_string(), "stalled 12 ns");
    }
}
