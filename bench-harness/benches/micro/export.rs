//! Folds criterion's estimates into one CSV file under `results/`.
//!
//! Criterion writes a folder for each benchmark; what this run has measured is what is newer than its start.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// `benchmark.json`: which benchmark it is.
#[derive(Deserialize)]
struct Benchmark {
    group_id: String,
    function_id: Option<String>,
    value_str: Option<String>,
    throughput: Option<Throughput>,
}

#[derive(Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: Option<u64>,
}

/// `estimates.json`: times of an iteration in nanoseconds.
#[derive(Deserialize)]
struct Estimates {
    mean: Estimate,
    median: Estimate,
    std_dev: Estimate,
}

#[derive(Deserialize)]
struct Estimate {
    point_estimate: f64,
    confidence_interval: Interval,
}

#[derive(Deserialize)]
struct Interval {
    lower_bound: f64,
    upper_bound: f64,
}

/// One row of `micro.csv`; `results/README.md` says what the columns mean.
#[derive(Serialize)]
struct Row<'r> {
    schema_version: u32,
    run_id: &'r str,
    group: String,
    engine: String,
    parameter: String,
    elements: Option<u64>,
    mean_ns: f64,
    mean_low_ns: f64,
    mean_high_ns: f64,
    median_ns: f64,
    std_dev_ns: f64,
    elements_per_s: Option<f64>,
}

/// Writes what was measured since `started`. The estimates stay where criterion put them, so a failure here only gets
/// a word.
pub(crate) fn export(started: SystemTime) {
    let Some(criterion) = criterion_folder() else { return };
    let run_id = bench_harness::run_name("criterion");
    let mut rows = Vec::new();
    collect(&criterion, started, &run_id, &mut rows);
    // Criterion walks the disk in no order of its own.
    rows.sort_by(|left, right| (&left.group, &left.engine).cmp(&(&right.group, &right.engine)));
    let results = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(|root| root.join("results"));
    let (Some(results), false) = (results, rows.is_empty()) else { return };
    let told = match write(&results.join(&run_id), &rows) {
        Ok(path) => format!("estimates: {}", path.display()),
        Err(error) => format!("the estimates could not be exported: {error}"),
    };
    report(&told);
}

#[expect(clippy::print_stderr, reason = "a benchmark talks to its reader")]
fn report(text: &str) {
    eprintln!("{text}");
}

/// Where criterion writes: `CRITERION_HOME`, or `criterion` in the target directory that this program lies in.
fn criterion_folder() -> Option<PathBuf> {
    if let Some(home) = std::env::var_os("CRITERION_HOME") {
        return Some(home.into());
    }
    // TARGET/release/deps/micro-0123456789abcdef
    let program = std::env::current_exe().ok()?;
    Some(program.ancestors().nth(3)?.join("criterion"))
}

fn collect<'r>(folder: &Path, started: SystemTime, run_id: &'r str, rows: &mut Vec<Row<'r>>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() && entry.file_name() == "new" {
            rows.extend(read(&path, started, run_id));
        } else if path.is_dir() {
            collect(&path, started, run_id, rows);
        }
    }
}

fn read<'r>(folder: &Path, started: SystemTime, run_id: &'r str) -> Option<Row<'r>> {
    let estimates = folder.join("estimates.json");
    if fs::metadata(&estimates).ok()?.modified().ok()? < started {
        return None;
    }
    let benchmark: Benchmark =
        serde_json::from_str(&fs::read_to_string(folder.join("benchmark.json")).ok()?).ok()?;
    let Estimates { mean, median, std_dev } =
        serde_json::from_str(&fs::read_to_string(estimates).ok()?).ok()?;
    let elements = benchmark.throughput.and_then(|throughput| throughput.elements);
    Some(Row {
        schema_version: 1,
        run_id,
        group: benchmark.group_id,
        engine: benchmark.function_id.unwrap_or_default(),
        parameter: benchmark.value_str.unwrap_or_default(),
        elements,
        mean_ns: mean.point_estimate,
        mean_low_ns: mean.confidence_interval.lower_bound,
        mean_high_ns: mean.confidence_interval.upper_bound,
        median_ns: median.point_estimate,
        std_dev_ns: std_dev.point_estimate,
        elements_per_s: elements.map(|elements| elements as f64 * 1e9 / mean.point_estimate),
    })
}

fn write(folder: &Path, rows: &[Row<'_>]) -> Result<PathBuf, csv::Error> {
    fs::create_dir_all(folder)?;
    let path = folder.join("micro.csv");
    let mut writer = csv::Writer::from_path(&path)?;
    rows.iter().try_for_each(|row| writer.serialize(row))?;
    writer.flush()?;
    Ok(path)
}
