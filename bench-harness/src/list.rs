//! `kvbench list`: the engines, workloads and distributions that a run can use.

use serde_json::json;

use crate::cli::{ListArgs, Listed};
use crate::distribution;
use crate::engines::Registration;
use crate::failure::Outcome;
use crate::operation::weights;
use crate::output;
use crate::quantity::show_whole;
use crate::report::wrap;
use crate::workload::{Catalog, Mix, Phase, PhaseKind, Workload};

/// The least characters of a line of a description, however narrow the terminal is.
const LEAST_WIDTH: usize = 20;

/// Prints the lists that were asked for.
pub(crate) fn list(engines: &[Registration], args: &ListArgs) -> Outcome<()> {
    let catalog = Catalog::built_in()?;
    let line = |(name, about): (&str, &str)| (name.to_string(), about.to_string());
    let engines: Vec<_> = engines.iter().map(|engine| line((engine.name, engine.about))).collect();
    let workloads: Vec<_> =
        catalog.all().iter().map(|(name, workload)| (name.clone(), describe(workload))).collect();
    let distributions: Vec<_> = distribution::NAMES.into_iter().map(line).collect();
    let all = [
        (Listed::Engines, "engines", engines),
        (Listed::Workloads, "workloads", workloads),
        (Listed::Distributions, "distributions", distributions),
    ];
    let wanted: Vec<_> = all
        .into_iter()
        .filter(|(listed, ..)| args.what.is_none_or(|wanted| wanted == *listed))
        .collect();
    if args.json {
        let named = |entries: &[(String, String)]| {
            entries
                .iter()
                .map(|(name, about)| json!({"name": name, "about": about}))
                .collect::<Vec<_>>()
        };
        let lists =
            wanted.iter().map(|(_, title, entries)| ((*title).to_string(), json!(named(entries))));
        let lists = serde_json::Value::Object(lists.collect());
        return output::result(&format!("{lists:#}\n"));
    }
    let width = wanted.iter().flat_map(|(.., entries)| entries).map(|(name, _)| name.len()).max();
    let width = width.unwrap_or_default();
    let mut lines = Vec::new();
    for (_, title, entries) in &wanted {
        lines.push((*title).to_string());
        lines.extend(entries.iter().map(|entry| show_entry(entry, width, output::width())));
    }
    output::result(&(lines.join("\n") + "\n"))
}

/// A name in a column of `width` and its description, in several lines where the terminal is too narrow for one.
fn show_entry((name, about): &(String, String), width: usize, max_width: usize) -> String {
    let indent = width + 4;
    let room = max_width.saturating_sub(indent).max(LEAST_WIDTH);
    let further = format!("\n{}", " ".repeat(indent));
    format!("  {name:<width$}  {}", wrap(about, room).replace('\n', &further))
}

/// A workload in one line: its group, its sizes, and the operations of its phases.
fn describe(workload: &Workload) -> String {
    let group = workload.group.as_ref().map_or(String::new(), |group| format!("@{group}: "));
    let records = workload.records.map(|records| show_whole(records.0 as f64));
    let input = || workload.input.clone().unwrap_or_default();
    let records = records.unwrap_or_else(input);
    let value = workload.value_bytes.map_or(String::new(), |size| format!(" x {} B", size.0));
    let phases: Vec<_> = workload.phase.iter().map(describe_phase).collect();
    format!("{group}{} ({records}{value}: {})", workload.about, phases.join(", "))
}

fn describe_phase(phase: &Phase) -> String {
    let batch = phase.batch.map_or(String::new(), |batch| format!(" in batches of {batch}"));
    let threads = phase.threads.filter(|threads| *threads > 1);
    let threads = threads.map_or(String::new(), |threads| format!(" on {threads} threads"));
    let work = match phase.kind() {
        Ok(PhaseKind::Mix(mix)) => describe_mix(mix),
        Ok(PhaseKind::Load(_)) => "load".into(),
        Ok(PhaseKind::Replay) => "replay".into(),
        Ok(PhaseKind::Sweep(_)) => "sweep".into(),
        Ok(PhaseKind::Rest(_)) => "rest".into(),
        Ok(PhaseKind::Reopen) | Err(_) => "reopen".into(),
    };
    format!("{work}{batch}{threads}")
}

/// The operations with their weights: `95 get 5 put`.
fn describe_mix(mix: Mix) -> String {
    let parts = weights(mix).into_iter().filter(|(_, weight)| *weight > 0);
    let parts = parts.map(|(operation, weight)| format!("{weight} {}", operation.name()));
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_description_is_broken_where_the_terminal_ends_and_loses_no_word() {
        let entry = ("ycsb-a".to_string(), "session store: half reads, half updates".to_string());
        assert_eq!(show_entry(&entry, 8, usize::MAX), format!("  ycsb-a    {}", entry.1));
        let narrow = show_entry(&entry, 8, 40);
        assert!(narrow.lines().all(|line| line.chars().count() <= 40), "{narrow}");
        assert!(narrow.lines().skip(1).all(|line| line.starts_with("            ")), "{narrow}");
        let words = narrow.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words, format!("ycsb-a {}", entry.1));
    }
}
