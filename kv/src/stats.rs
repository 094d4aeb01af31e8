//! Counters that every engine reports in the same form.

/// What a metric counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Things.
    Count,
    /// Bytes.
    Bytes,
    /// Nanoseconds.
    Nanoseconds,
}

/// One named number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Metric {
    /// The name, `snake_case`, without the unit.
    pub name: &'static str,
    /// What it counts.
    pub unit: Unit,
    /// How much, since the handle was opened or as of now.
    pub value: u64,
}

/// The numbers of one engine, in a stable order.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    /// The numbers.
    pub metrics: Vec<Metric>,
}

impl Stats {
    /// Adds a number.
    #[must_use]
    pub fn with(mut self, name: &'static str, unit: Unit, value: u64) -> Self {
        self.metrics.push(Metric { name, unit, value });
        self
    }

    /// The number called `name`.
    pub fn get(&self, name: &str) -> Option<u64> {
        self.metrics.iter().find(|metric| metric.name == name).map(|metric| metric.value)
    }
}
