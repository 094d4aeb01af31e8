//! The command: cells one after the other, their rows, the plots and the table.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use clap::Args;

use super::bands::Band;
use super::chart;
use super::parameters::{BUILT_IN, Parameters, StrategyName};
use super::row::AmplificationRow;
use super::workload::{SimulatedWorkload, Source, simulate_cell};
use crate::failure::{Failure, Outcome};
use crate::output;
use crate::quantity::{parse_count, show_bytes, show_whole};
use crate::utc::run_name;

/// The flags of `kvbench simulate`.
#[derive(Args, Clone, Debug)]
pub(crate) struct SimulateArgs {
    /// A file with other parameters.
    #[arg(short = 'c', long, value_name = "FILE.toml")]
    file: Option<PathBuf>,
    /// Sizes to simulate, in keys, with commas between [default: those of the file].
    #[arg(short = 'n', long, value_delimiter = ',', value_parser = parse_count, value_name = "KEYS")]
    keys: Vec<u64>,
    /// The end of the folder's name.
    #[arg(long = "as", default_value = "simulation", value_name = "NAME")]
    name: String,
}

/// Simulates every strategy on every workload at every size, and writes a folder with the rows and the plots below `out`.
pub(crate) fn simulate(args: &SimulateArgs, out: &Path) -> Outcome<()> {
    let (text, parameters) = parameters(args)?;
    let workloads = parameters.workloads.iter().map(|name| SimulatedWorkload::read(name));
    let workloads = workloads.collect::<Outcome<Vec<_>>>()?;
    let folder = out.join(run_name(&args.name));
    fs::create_dir_all(&folder).map_err(|error| Failure::io("create", &folder, &error))?;
    write(&folder.join("parameters.toml"), &text)?;
    let mut rows = RowFile::create(folder.join("amplification.csv"))?;
    for workload in &workloads {
        for keys in parameters.keys.iter().map(|keys| keys.0) {
            for strategy in StrategyName::ALL {
                output::note(&format!(
                    "{} on {}, {} keys",
                    strategy.text(),
                    workload.name,
                    show_whole(keys as f64)
                ));
                for row in cell_rows(&parameters, strategy, workload, keys)? {
                    rows.append(row)?;
                }
            }
        }
    }
    for (name, svg) in chart::plots(&rows.rows)? {
        write(&folder.join(name), &svg)?;
    }
    output::result(&table(&rows.rows))?;
    output::note(&format!("rows and plots are in {}", folder.display()));
    Ok(())
}

/// The text of the file with the parameters, and the parameters with the sizes of the command line.
fn parameters(args: &SimulateArgs) -> Outcome<(String, Parameters)> {
    let Some(path) = &args.file else {
        return Ok((BUILT_IN.into(), Parameters::parse(BUILT_IN)?.with_keys(&args.keys)?));
    };
    let text = fs::read_to_string(path).map_err(|error| Failure::io("read", path, &error))?;
    let parsed = Parameters::parse(&text);
    let named = |failure: Failure| Failure::usage(format!("{}: {}", path.display(), failure.text));
    let parameters = parsed.map_err(named)?.with_keys(&args.keys)?;
    Ok((text, parameters))
}

/// The rows of a cell: the load, which is the same for all workloads but a trace, and the steady state.
fn cell_rows(
    parameters: &Parameters,
    strategy: StrategyName,
    workload: &SimulatedWorkload,
    keys: u64,
) -> Outcome<Vec<AmplificationRow>> {
    let cost = simulate_cell(parameters, strategy, &workload.source, keys)?;
    let is_uniform = matches!(workload.source, Source::Uniform);
    let band = is_uniform.then(|| Band::of(strategy, parameters, cost.live_bytes));
    let size = (cost.keys, cost.live_bytes);
    let steady =
        AmplificationRow::new(strategy.text(), workload.name.clone(), size, &cost.steady, band);
    let load =
        AmplificationRow::new(strategy.text(), "sequential load".into(), size, &cost.load, None);
    Ok(if is_uniform { vec![load, steady] } else { vec![steady] })
}

fn write(path: &Path, text: &str) -> Outcome<()> {
    fs::write(path, text).map_err(|error| Failure::io("write", path, &error))
}

/// Rows that are on the disk as soon as they are known.
struct RowFile {
    path: PathBuf,
    file: csv::Writer<File>,
    rows: Vec<AmplificationRow>,
}

impl RowFile {
    fn create(path: PathBuf) -> Outcome<Self> {
        let file = File::create(&path).map_err(|error| Failure::io("create", &path, &error))?;
        Ok(Self { path, file: csv::Writer::from_writer(file), rows: Vec::new() })
    }

    fn append(&mut self, row: AmplificationRow) -> Outcome<()> {
        let failed = |error: std::io::Error| Failure::io("write", &self.path, &error);
        self.file.serialize(&row).map_err(|error| failed(error.into()))?;
        self.file.flush().map_err(failed)?;
        self.rows.push(row);
        Ok(())
    }
}

/// The rows for people.
fn table(rows: &[AmplificationRow]) -> String {
    let mut text = String::from(
        "| workload | keys | data | strategy | write | expected | runs | space | at most | peak | |\n\
         |---|---|---|---|---|---|---|---|---|---|---|\n",
    );
    text.extend(rows.iter().map(table_line));
    text
}

fn table_line(row: &AmplificationRow) -> String {
    let band = match (row.expected_write_low, row.expected_write_high) {
        (Some(low), Some(high)) => format!("{low:.1} to {high:.1}"),
        _ => String::new(),
    };
    let most = row.expected_space_most.map_or(String::new(), |most| format!("{most:.2}"));
    let verdict = if row.is_expected() { "" } else { "outside" };
    format!(
        "| {} | {} | {} | {} | {:.2} | {band} | {:.1} | {:.3} | {most} | {:.2} | {verdict} |\n",
        row.workload,
        show_whole(row.keys as f64),
        show_bytes(row.live_bytes as f64),
        row.strategy,
        row.write_amplification,
        row.read_amplification,
        row.space_amplification,
        row.space_amplification_peak,
    )
}
