//! `kvbench table`: the tables of finished runs in the README.
//!
//! Runs to show are committed under `results/published/`, with their rows and manifests. The README has the table that
//! this command prints for them; a test holds the two together.

use std::path::PathBuf;

use crate::failure::Outcome;
use crate::output;
use crate::report::{FinishedRun, render_peer_tables};

/// The first version of the rows whose speeds are operations over wall time.
const WALL_TIME_VERSION: u32 = 2;

/// Prints the tables of the runs in `folders`, and a note for each run whose figures mean something else today.
pub(crate) fn print(folders: &[PathBuf]) -> Outcome<()> {
    let runs = read(folders)?;
    runs.iter().filter_map(older_meaning).for_each(|text| output::note(&text));
    output::result(&render_peer_tables(&runs))
}

fn read(folders: &[PathBuf]) -> Outcome<Vec<FinishedRun>> {
    folders.iter().map(|folder| FinishedRun::read(folder)).collect()
}

/// The note about a run with rows of an older version of the dictionary.
fn older_meaning(run: &FinishedRun) -> Option<String> {
    let version = run.rows.iter().map(|row| row.schema_version).min()?;
    (version < WALL_TIME_VERSION).then(|| {
        let run = &run.facts.run_id;
        format!("{run} has rows of version {version}: its speeds count the time inside the engine alone, not wall time")
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::report::{compare, render_markdown};
    use crate::row::Row;

    const BEGIN: &str = "<!-- peers:begin -->\n";
    const END: &str = "<!-- peers:end -->";
    const NOTHING_YET: &str = "No run is published yet.\n";

    fn published() -> Vec<PathBuf> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/published");
        let entries = folder.read_dir().into_iter().flatten();
        let mut folders: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
        folders.retain(|path| path.join("manifest.json").exists());
        folders.sort();
        folders
    }

    #[test]
    fn the_readme_shows_the_published_runs() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
        let readme = std::fs::read_to_string(&path).unwrap();
        let (before, rest) = readme.split_once(BEGIN).unwrap();
        let (shown, after) = rest.split_once(END).unwrap();
        let folders = published();
        let expected = if folders.is_empty() {
            NOTHING_YET.into()
        } else {
            render_peer_tables(&read(&folders).unwrap())
        };
        if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
            std::fs::write(&path, format!("{before}{BEGIN}{expected}{END}{after}")).unwrap();
        } else {
            assert_eq!(shown, expected);
        }
    }

    #[test]
    fn the_report_of_a_published_run_follows_from_its_rows() {
        for folder in published() {
            let FinishedRun { facts, outcome, rows, .. } = FinishedRun::read(&folder).unwrap();
            let report = render_markdown(&facts, &compare(&facts, &rows), &outcome);
            let path = folder.join("report.md");
            if std::env::var_os("UPDATE_GOLDENFILES").is_some() {
                std::fs::write(&path, report).unwrap();
            } else {
                let committed = std::fs::read_to_string(&path).unwrap();
                let mut lines = committed.lines().zip(report.lines());
                assert_eq!(lines.find(|(left, right)| left != right), None, "{}", path.display());
                assert_eq!(committed.len(), report.len(), "{}", path.display());
            }
        }
    }

    #[test]
    fn a_folder_that_no_run_left_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(&[folder.path().into()]).unwrap_err().text.contains("manifest.json"));
        std::fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        let text = read(&[folder.path().into()]).unwrap_err().text;
        assert!(text.contains("is not what a run leaves") && !text.contains('\n'), "{text}");
    }

    #[test]
    fn a_run_whose_speeds_mean_something_else_today_gets_a_word() {
        let run = |schema_version| FinishedRun {
            facts: serde_json::from_str(
                r#"{"run_id": "old", "engines": [], "workloads": [], "blocks": 1, "seed": 1,
                    "durability": "buffered", "memory_budget_bytes": 1048576}"#,
            )
            .unwrap(),
            command: Vec::new(),
            environment: serde_json::json!({}),
            outcome: "complete".into(),
            rows: vec![Row { schema_version, ..Row::default() }],
        };
        assert!(older_meaning(&run(1)).unwrap().starts_with("old has rows of version 1"));
        assert_eq!(older_meaning(&run(WALL_TIME_VERSION)), None);
    }
}
