//! The folder of a run. The rows of a workload are written when all of its cells in a block have ended: until then a cell may
//! be repeated. A run that is interrupted or fails writes the cells that have ended; one that is killed loses them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::environment;
use crate::failure::{Failure, Outcome};
use crate::fresh_folder::create_afresh;
use crate::plan::Plan;
use crate::report::MemoryLimit;
use crate::row::{Row, SCHEMA_VERSION};

/// `results/<UTC>-<label>/`, open.
pub(crate) struct RunFolder {
    path: PathBuf,
    summary: csv::Writer<File>,
    manifest: Value,
}

impl RunFolder {
    /// Creates the folder with a manifest and an empty summary. The plan gets the name that the folder has: another run
    /// that began in the same second has taken the one that was meant.
    pub(crate) fn create(plan: Plan) -> Outcome<(Self, Plan)> {
        let path = create_afresh(&plan.folder)?;
        debug_assert!(path.is_dir(), "the run has its folder");
        let plan = &plan.in_folder(&path);
        let summary = path.join("summary.csv");
        let file =
            File::create(&summary).map_err(|error| Failure::io("create", &summary, &error))?;
        let manifest = json!({
            "schema_version": SCHEMA_VERSION,
            "command": command_line(),
            "plan": plan,
            "engines": plan.engine_settings(),
            "environment": environment::describe(&plan.stores()),
            "load_at_start": environment::load(),
            "outcome": "running",
        });
        let folder = Self { path, summary: csv::Writer::from_writer(file), manifest };
        folder.write_manifest()?;
        Ok((folder, plan.clone()))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends rows to the summary and flushes.
    pub(crate) fn append(&mut self, rows: &[Row]) -> Outcome<()> {
        let path = self.path.join("summary.csv");
        let failed = |error: std::io::Error| Failure::io("write", &path, &error);
        let is_current = |row: &Row| row.schema_version == SCHEMA_VERSION;
        assert!(rows.iter().all(is_current), "a run writes rows of this build");
        for row in rows {
            self.summary.serialize(row).map_err(|error| failed(error.into()))?;
        }
        self.summary.flush().map_err(failed)
    }

    /// Notes the limit of the memory of cells, and the bytes that it was raised by.
    pub(crate) fn note_limit(&mut self, limit: Option<&MemoryLimit>) {
        if let Some(limit) = limit {
            self.manifest["memory_limit"] = json!(limit);
        }
    }

    /// Notes how the run ended, and writes the report.
    pub(crate) fn finish(&mut self, outcome: &str, report: &str) -> Outcome<()> {
        self.manifest["outcome"] = outcome.into();
        self.manifest["load_at_end"] = environment::load().into();
        self.write_manifest()?;
        let path = self.path.join("report.md");
        fs::write(&path, report).map_err(|error| Failure::io("write", &path, &error))
    }

    /// Notes that an engine lied, and takes all numbers back.
    pub(crate) fn withdraw(&mut self, outcome: &str) -> Outcome<()> {
        self.manifest["outcome"] = outcome.into();
        let path = self.path.join("summary.csv");
        fs::remove_file(&path).map_err(|error| Failure::io("remove", &path, &error))?;
        self.write_manifest()
    }

    fn write_manifest(&self) -> Outcome<()> {
        let path = self.path.join("manifest.json");
        let text = serde_json::to_string_pretty(&self.manifest)
            .map_err(|error| Failure::usage(error.to_string()))?;
        fs::write(&path, text + "\n").map_err(|error| Failure::io("write", &path, &error))
    }
}

/// The arguments of this process. Bytes that are not Unicode become replacement characters.
fn command_line() -> Vec<String> {
    std::env::args_os().skip(1).map(|part| part.to_string_lossy().into_owned()).collect()
}
