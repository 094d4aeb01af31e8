//! The blocks of a record: speeds by phase, engine and block.

use std::collections::HashSet;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::csv_text::to_csv;
use crate::failure::{Failure, Outcome};
use crate::paired::BlockSpeed;

/// The engines of a record, in the order of [`PhaseRecord::speeds`].
pub(super) const ENGINES: [&str; 4] =
    ["calibration:a", "calibration:b", "calibration:slow-10", "calibration:slow-20"];

/// The columns of `summary.csv` that a record keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    block: u32,
    order: u32,
    engine: String,
    phase: String,
    op: String,
    throughput_ops_s: Option<f64>,
    loop_ns: Option<f64>,
}

/// Recorded blocks.
#[derive(Debug)]
pub(crate) struct Record {
    entries: Vec<Entry>,
    phases: Vec<PhaseRecord>,
}

/// The blocks of one phase.
#[derive(Clone, Debug, Default)]
pub(crate) struct PhaseRecord {
    /// The phase's name.
    pub(super) name: String,
    /// The blocks of each of [`ENGINES`]; every engine has the same ones.
    pub(super) speeds: [Vec<BlockSpeed>; 4],
}

impl Record {
    /// Reads rows of `summary.csv`, or the part of them that a record keeps. Blocks of later files follow those of
    /// earlier ones. A block in which an engine has no row, as the last one of an interrupted run, is left out.
    pub(super) fn read(files: &[&Path]) -> Outcome<Self> {
        let mut entries = Vec::new();
        for file in files {
            let last = entries.iter().map(|entry: &Entry| entry.block).max().unwrap_or_default();
            let text =
                fs::read_to_string(file).map_err(|error| Failure::io("read", file, &error))?;
            let broken =
                |error| Failure::usage(format!("{} is no record: {error}", file.display()));
            entries.extend(parse(&text, last).map_err(broken)?);
        }
        Self::new(entries)
    }

    fn new(entries: Vec<Entry>) -> Outcome<Self> {
        let mut names: Vec<&str> = Vec::new();
        for entry in &entries {
            if !names.contains(&&entry.phase[..]) {
                names.push(&entry.phase);
            }
        }
        let phases: Vec<_> = names.iter().map(|name| PhaseRecord::new(name, &entries)).collect();
        if phases.iter().all(|phase| phase.blocks().is_empty()) {
            let engines = ENGINES.join(", ");
            return Err(Failure::usage(format!("no block of the record has all of {engines}")));
        }
        Ok(Self { entries, phases })
    }

    /// The phases, in the order in which they ran.
    pub(super) fn phases(&self) -> &[PhaseRecord] {
        &self.phases
    }

    /// The rows that the record consists of.
    pub(super) fn to_csv(&self) -> Outcome<String> {
        to_csv(&self.entries, "the record")
    }
}

/// The sums among the rows of a file. Its blocks follow block `last`. `Err` names the mistake.
fn parse(text: &str, last: u32) -> Result<Vec<Entry>, String> {
    let (mut entries, mut seen) = (Vec::new(), HashSet::new());
    for entry in csv::Reader::from_reader(text.as_bytes()).into_deserialize() {
        let entry: Entry = entry.map_err(|error| error.to_string())?;
        if let Some(speed) = entry.throughput_ops_s.filter(|s| !s.is_finite() || *s < 0.0) {
            return Err(format!("a speed is {speed}"));
        }
        if entry.op != "all" {
            continue;
        }
        let Entry { block, engine, phase, .. } = &entry;
        if !seen.insert((*block, engine.clone(), phase.clone())) {
            return Err(format!("a second row of {engine}, {phase} in block {block}"));
        }
        let follows = block.checked_add(last);
        let block = follows.ok_or_else(|| format!("it has a block {block}"))?;
        entries.push(Entry { block, ..entry });
    }
    Ok(entries)
}

impl PhaseRecord {
    fn new(name: &str, entries: &[Entry]) -> Self {
        let of_engine = |engine: &str| -> Vec<BlockSpeed> {
            let entries =
                entries.iter().filter(|entry| entry.phase == name && entry.engine == engine);
            let speeds =
                entries.filter_map(|entry| Some((entry.block, entry.throughput_ops_s?).into()));
            let mut speeds: Vec<BlockSpeed> = speeds.collect();
            speeds.sort_unstable_by_key(|of| of.block);
            speeds
        };
        let all = ENGINES.map(of_engine);
        let is_whole = |of: &BlockSpeed| {
            all.iter().all(|speeds| speeds.iter().any(|other| other.block == of.block))
        };
        let whole =
            |speeds: &Vec<BlockSpeed>| speeds.iter().copied().filter(|b| is_whole(b)).collect();
        let speeds: [Vec<_>; 4] = std::array::from_fn(|engine| whole(&all[engine]));
        assert!(
            speeds.iter().all(|of| of.len() == speeds[0].len()),
            "every engine has every block"
        );
        Self { name: name.into(), speeds }
    }

    /// The blocks, in the order in which they ran.
    pub(super) fn blocks(&self) -> Vec<u32> {
        self.speeds[0].iter().map(|of| of.block).collect()
    }

    /// The same phase with `blocks` alone.
    pub(super) fn only(&self, blocks: &[u32]) -> Self {
        let has = |of: &&BlockSpeed| blocks.contains(&of.block);
        let part = |engine: usize| self.speeds[engine].iter().filter(has).copied().collect();
        Self { name: self.name.clone(), speeds: std::array::from_fn(part) }
    }

    /// The same blocks, with the speeds of the two equal engines exchanged in those that `is_swapped` chooses.
    pub(super) fn with_equals_swapped(mut self, mut is_swapped: impl FnMut(u32) -> bool) -> Self {
        let [first, second, ..] = &mut self.speeds;
        assert_eq!(first.len(), second.len(), "both have every block");
        for (first, second) in first.iter_mut().zip(second) {
            assert_eq!(first.block, second.block, "blocks stand in the same order");
            if is_swapped(first.block) {
                std::mem::swap(first, second);
            }
        }
        self
    }
}
