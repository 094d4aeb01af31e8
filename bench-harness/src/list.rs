//! `kvbench list`: the engines, workloads and inputs that can be run.

use serde_json::json;

use crate::cli::{ListArgs, Listed};
use crate::distribution;
use crate::engines::Registration;
use crate::failure::Outcome;
use crate::output;
use crate::workload::Catalog;

/// Prints the lists that were asked for.
pub(crate) fn list(engines: &[Registration], args: &ListArgs) -> Outcome<()> {
    let catalog = Catalog::built_in()?;
    let engines: Vec<_> = engines.iter().map(|engine| (engine.name, engine.about)).collect();
    let workloads: Vec<_> =
        catalog.all().iter().map(|(name, w)| (name.as_str(), w.about.as_str())).collect();
    let distributions = distribution::NAMES.to_vec();
    let all = [
        (Listed::Engines, "engines", engines),
        (Listed::Workloads, "workloads", workloads),
        (Listed::Distributions, "distributions", distributions),
    ];
    let wanted: Vec<_> = all
        .into_iter()
        .filter(|(what, ..)| args.what.is_none_or(|wanted| wanted == *what))
        .collect();
    if args.json {
        let named = |entries: &[(&str, &str)]| {
            entries
                .iter()
                .map(|(name, about)| json!({"name": name, "about": about}))
                .collect::<Vec<_>>()
        };
        let lists =
            wanted.iter().map(|(_, title, entries)| ((*title).to_string(), json!(named(entries))));
        let lists = serde_json::Value::Object(lists.collect());
        output::result(&format!("{lists:#}\n"));
        return Ok(());
    }
    let width = wanted.iter().flat_map(|(.., entries)| entries).map(|(name, _)| name.len()).max();
    let width = width.unwrap_or_default();
    let mut lines = Vec::new();
    for (_, title, entries) in &wanted {
        lines.push((*title).to_string());
        lines.extend(entries.iter().map(|(name, about)| format!("  {name:<width$}  {about}")));
    }
    output::result(&(lines.join("\n") + "\n"));
    Ok(())
}
