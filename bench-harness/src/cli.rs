//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::parser::ValueSource;
use clap::{
    ArgMatches, Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand, ValueEnum,
};
use kv::Durability;

use crate::failure::EXIT_CODES;
use crate::keys::KeyShape;
use crate::quantity::{parse_bytes, parse_count, parse_duration};
use crate::{durability, failure::Failure};

/// The least memory that a cell's process can be limited to.
const LEAST_LIMIT_BYTES: u64 = 1 << 20;
/// The least memory that an engine can be given: with less, engines of others do not end.
const LEAST_BUDGET_BYTES: u64 = 1 << 20;

/// Runs storage engines on the same workloads, checks every answer, and says which is faster and at which cost.
///
/// Without a command it runs `quick`: every engine on a small part of every kind of workload, in less than a minute.
#[derive(Debug, Parser)]
#[command(name = "kvbench", version, after_help = EXIT_CODES)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) common: CommonArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Every engine on small sizes, in less than a minute; the default command.
    #[command(after_help = EXIT_CODES)]
    Quick,
    /// Chosen engines on chosen workloads at full size.
    #[command(after_help = EXIT_CODES)]
    Run(Box<RunArgs>),
    /// Lists engines, workloads and distributions.
    List(ListArgs),
    /// The engines of finished runs against the fastest of the engines of others, in Markdown.
    #[command(after_help = EXIT_CODES)]
    Table(TableArgs),
    /// The compaction strategies of an LSM tree on metadata alone, up to 10 billion keys: amplification against data size.
    #[command(after_help = EXIT_CODES)]
    Simulate(crate::simulate::SimulateArgs),
    /// How often the comparison errs on recorded blocks; `examples/calibration.rs` records them.
    #[command(after_help = EXIT_CODES)]
    Calibration(CalibrationArgs),
    /// Runs one cell for the process that started it.
    #[command(hide = true)]
    Worker,
}

/// Flags of every command that measures, before the command or after it.
#[derive(Args, Clone, Debug)]
pub(crate) struct CommonArgs {
    /// Engines by name or glob, with commas between; yardsticks are always there [default: all].
    #[arg(global = true, short, long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) engines: Vec<String>,
    /// Blocks: each runs every engine once, in a fresh order [default: 20; 3 in `quick`].
    #[arg(global = true, short, long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) reps: Option<u32>,
    /// The seed of all randomness [default: from the time, printed].
    #[arg(global = true, long)]
    pub(crate) seed: Option<u64>,
    /// The engine that ratios refer to [default: the first ranked one].
    #[arg(global = true, long, value_name = "ENGINE")]
    pub(crate) baseline: Option<String>,
    /// The memory that each engine may divide among buffers and caches; 1MiB at least.
    #[arg(global = true, long, default_value = "64MiB", value_parser = parse_budget, value_name = "SIZE")]
    pub(crate) mem: u64,
    /// The memory of each cell's process, page cache included, beyond that of the harness. Needs the right to
    /// make memory cgroups [default: no limit].
    #[arg(global = true, long, value_parser = parse_limit, value_name = "SIZE")]
    pub(crate) limit_memory: Option<u64>,
    /// The folder that the folder of the run goes into.
    #[arg(global = true, short, long, default_value = "results", value_name = "FOLDER")]
    pub(crate) out: PathBuf,
    /// The end of the run folder's name [default: the command].
    #[arg(global = true, long, value_parser = parse_label)]
    pub(crate) label: Option<String>,
    /// Where the engines keep their files while they run [default: the folder of the run].
    #[arg(global = true, long, value_name = "FOLDER")]
    pub(crate) dir: Option<PathBuf>,
    /// How results are printed.
    #[arg(global = true, long, value_enum, default_value_t = Format::Table)]
    pub(crate) format: Format,
    /// No progress.
    #[arg(global = true, short, long)]
    pub(crate) quiet: bool,
    /// Prints the plan and its estimated time, and runs nothing.
    #[arg(global = true, long)]
    pub(crate) dry_run: bool,
    /// The time for everything; phases that do not fit are cut short, marked and not ranked [default: 55s in `quick`,
    /// else none].
    #[arg(global = true, long, value_parser = parse_duration, value_name = "TIME")]
    pub(crate) budget: Option<Duration>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct RunArgs {
    /// Workloads by name, glob or @group, with commas between [default: ycsb-a,ycsb-b,ycsb-c,ycsb-e].
    #[arg(short, long, value_delimiter = ',', value_name = "NAMES")]
    pub(crate) workloads: Vec<String>,
    /// A file with own workloads; they are run unless --workloads chooses.
    #[arg(short = 'c', long, value_name = "FILE.toml")]
    pub(crate) file: Vec<PathBuf>,
    /// Records to load: 1000, 100k, 1M [default: the workload's].
    #[arg(short = 'n', long, value_parser = parse_count)]
    pub(crate) records: Option<u64>,
    /// The size of values: 100, 4KiB [default: the workload's].
    #[arg(long, value_parser = parse_bytes, value_name = "SIZE")]
    pub(crate) value: Option<u64>,
    /// The shape of keys: hashed, user, padded [default: the workload's].
    #[arg(long, value_name = "SHAPE")]
    pub(crate) key: Option<KeyShape>,
    /// Threads of phases that mix operations; several numbers with commas between run each workload once for each of
    /// them [default: the workload's].
    #[arg(short, long, value_delimiter = ',', value_parser = clap::value_parser!(u32).range(1..=256))]
    pub(crate) threads: Vec<u32>,
    /// The time of phases that mix operations and do not say how many.
    #[arg(short, long, default_value = "1s", value_parser = parse_duration, value_name = "TIME")]
    pub(crate) duration: Duration,
    /// The operations of phases that mix them, on each thread; the time still holds.
    #[arg(long, value_parser = parse_count)]
    pub(crate) ops: Option<u64>,
    /// Operations a second of phases that mix them, all threads together, at random moments; latencies then count from
    /// the moment at which an operation was meant to begin [default: as many as possible].
    #[arg(long, value_parser = parse_rate, value_name = "OPS")]
    pub(crate) rate: Option<u64>,
    /// The durability of writes: none, buffered, sync.
    #[arg(long, default_value = "buffered", value_parser = durability::parse, value_name = "CLASS")]
    pub(crate) durability: Durability,
}

/// Reads a limit: a size in which a process can run.
fn parse_limit(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        bytes if bytes < LEAST_LIMIT_BYTES => Err("a process needs 1MiB at least".into()),
        bytes => Ok(bytes),
    }
}

/// Reads a memory budget: a size with which every engine works.
fn parse_budget(text: &str) -> Result<u64, String> {
    match parse_bytes(text)? {
        bytes if bytes < LEAST_BUDGET_BYTES => Err("an engine needs 1MiB at least".into()),
        bytes => Ok(bytes),
    }
}

/// Reads a rate: a count that is not 0.
fn parse_rate(text: &str) -> Result<u64, String> {
    match parse_count(text)? {
        0 => Err("a rate is at least one operation a second".into()),
        rate => Ok(rate),
    }
}

#[derive(Args, Clone, Debug)]
pub(crate) struct ListArgs {
    /// The kind of things to list [default: everything].
    #[arg(value_enum)]
    pub(crate) what: Option<Listed>,
    /// As JSON.
    #[arg(long)]
    pub(crate) json: bool,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct TableArgs {
    /// Folders of runs; a table each.
    #[arg(required = true, value_name = "FOLDER")]
    pub(crate) folders: Vec<PathBuf>,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct CalibrationArgs {
    /// Files with the rows of a record, as `summary.csv` or as --extract prints them.
    #[arg(required = true, value_name = "FILE.csv")]
    pub(crate) files: Vec<PathBuf>,
    /// Prints the part of the rows that the rates follow from.
    #[arg(long)]
    pub(crate) extract: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Listed {
    Engines,
    Workloads,
    Distributions,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// Tables for people.
    Table,
    /// The tables in Markdown.
    Md,
    /// The rows of summary.csv.
    Csv,
    /// The rows as JSON lines.
    Json,
}

/// A label becomes part of a folder's name.
fn parse_label(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with('.') || !text.chars().all(is_plain) {
        return Err("a label has letters, digits, '-', '_' and '.' only".into());
    }
    Ok(text.into())
}

/// Reads the command line; `Err(None)` when help or the version was asked for and printed.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Cli, Option<Failure>> {
    let complain = |error: clap::Error| {
        if error.use_stderr() {
            return Some(Failure::usage(one_line(&error.to_string())));
        }
        crate::output::result(&error.to_string()).err()
    };
    let arguments: Vec<_> = arguments.collect();
    let matches = Cli::command().try_get_matches_from(&arguments).map_err(complain)?;
    if let Some(flag) = repeated_flag(&matches, &arguments) {
        let command = matches.subcommand_name().unwrap_or_default();
        let text = format!("--{flag} stands before {command} and behind it; one of them is enough");
        return Err(Some(Failure::usage(text)));
    }
    if let Some(flag) = unused_flag(&matches) {
        let command = matches.subcommand_name().unwrap_or_default();
        return Err(Some(Failure::usage(format!("{command} does not use --{flag}"))));
    }
    Cli::from_arg_matches(&matches).map_err(complain)
}

/// A common flag of `arguments` that stands before the command and behind it: only the later one would count.
fn repeated_flag(matches: &ArgMatches, arguments: &[OsString]) -> Option<String> {
    let command = matches.subcommand_name()?;
    let parse = |arguments: &[OsString]| Cli::command().try_get_matches_from(arguments).ok();
    // The value of a flag may be the command's name, too: a flag without its value is no command line.
    let commands = (1..arguments.len()).filter(|at| arguments[*at] == command);
    let mut ends = commands.filter_map(|at| Some((at, parse(&arguments[..at])?)));
    let (at, before) = ends.next()?;
    let behind = parse(&[&arguments[..1], &arguments[at..]].concat())?;
    let (_, behind) = behind.subcommand()?;
    common_flags().into_iter().find_map(|flag| {
        let is_given = |matches: &ArgMatches| {
            matches.value_source(flag.get_id().as_str()) == Some(ValueSource::CommandLine)
        };
        flag.get_long().filter(|_| is_given(&before) && is_given(behind)).map(str::to_string)
    })
}

/// The flags of [`CommonArgs`].
fn common_flags() -> Vec<clap::Arg> {
    CommonArgs::augment_args(clap::Command::new("common")).get_arguments().cloned().collect()
}

/// The common flags that each command uses which measures nothing.
const USED_FLAGS: [(&str, &[&str]); 4] =
    [("list", &[]), ("table", &[]), ("simulate", &["out", "label", "quiet"]), ("calibration", &[])];

/// A common flag of the command line that its command does not use.
fn unused_flag(matches: &ArgMatches) -> Option<String> {
    let (command, of_command) = matches.subcommand()?;
    let (_, used) = USED_FLAGS.iter().find(|(name, _)| *name == command)?;
    let is_given = |id: &str| of_command.value_source(id) == Some(ValueSource::CommandLine);
    let given = common_flags().into_iter().filter(|flag| is_given(flag.get_id().as_str()));
    let mut given = given.filter_map(|flag| flag.get_long().map(str::to_string));
    given.find(|flag| !used.contains(&&flag[..]))
}

/// The first line of a complaint with the words that it announces or allows, and the tip if there is one.
fn one_line(complaint: &str) -> String {
    let mut lines = complaint.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    let first = lines.next().unwrap_or_default();
    let mut first = first.strip_prefix("error: ").unwrap_or(first).to_string();
    let is_announced = |line: &&str| line.starts_with('<') || line.starts_with("[possible values");
    while let Some(line) = lines.next_if(is_announced) {
        first = format!("{first} {line}");
    }
    match lines.find_map(|line| line.strip_prefix("tip: ")) {
        Some(tip) => format!("{first}; {tip}"),
        None => format!("{first} (see kvbench --help)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_without_a_command_belong_to_quick() {
        let arguments = ["kvbench", "--seed", "7"].map(Into::into);
        let cli = parse(arguments.into_iter()).unwrap();
        assert!(cli.command.is_none());
        assert_eq!(cli.common.seed, Some(7));
    }

    #[test]
    fn a_common_flag_stands_before_or_behind_the_command() {
        for arguments in [["kvbench", "--seed", "7", "run"], ["kvbench", "run", "--seed", "7"]] {
            let cli = parse(arguments.map(Into::into).into_iter()).unwrap();
            assert!(matches!(cli.command, Some(Command::Run(_))));
            assert_eq!((cli.common.seed, cli.common.reps), (Some(7), None));
        }
    }

    #[test]
    fn a_common_flag_that_a_command_does_not_use_is_refused_before_it_and_behind_it() {
        for (arguments, complaint) in [
            (&["list", "--seed", "7"][..], "list does not use --seed"),
            (&["--dry-run", "simulate"], "simulate does not use --dry-run"),
            (&["simulate", "--limit-memory", "1GiB"], "simulate does not use --limit-memory"),
            (&["table", "run", "--format", "csv"], "table does not use --format"),
            (&["-q", "calibration", "a.csv"], "calibration does not use --quiet"),
        ] {
            let arguments = std::iter::once("kvbench").chain(arguments.iter().copied());
            let failure = parse(arguments.map(Into::into)).unwrap_err().unwrap();
            assert_eq!(failure.text, complaint);
        }
        let simulate = ["kvbench", "-q", "simulate", "--out", "there", "--label", "mine"];
        let cli = parse(simulate.map(Into::into).into_iter()).unwrap();
        assert_eq!((cli.common.quiet, cli.common.label.as_deref()), (true, Some("mine")));
    }

    #[test]
    fn a_common_flag_before_the_command_and_behind_it_is_refused() {
        for (arguments, flag) in [
            (&["-r", "2", "run", "-r", "1"][..], "reps"),
            (&["--reps=2", "run", "-r1"], "reps"),
            (&["-e", "lsm", "run", "-e", "bitcask"], "engines"),
            // A label with the name of the command is not the command.
            (&["--label", "run", "run", "--label", "second"], "label"),
            (&["--label", "run", "--seed", "1", "run", "--seed", "1"], "seed"),
        ] {
            let arguments = std::iter::once("kvbench").chain(arguments.iter().copied());
            let failure = parse(arguments.map(Into::into)).unwrap_err().unwrap();
            let expected =
                format!("--{flag} stands before run and behind it; one of them is enough");
            assert_eq!(failure.text, expected);
        }
        let apart = ["kvbench", "--label", "run", "-r", "2", "run", "--seed", "1"];
        let cli = parse(apart.map(Into::into).into_iter()).unwrap();
        assert_eq!((cli.common.reps, cli.common.seed), (Some(2), Some(1)));
    }

    #[test]
    fn several_numbers_of_threads_are_read() {
        let arguments = ["kvbench", "run", "-t", "1,2,4"].map(Into::into);
        let Some(Command::Run(run)) = parse(arguments.into_iter()).unwrap().command else {
            panic!("this is `run`");
        };
        assert_eq!(run.threads, [1, 2, 4]);
    }

    #[test]
    fn no_time_at_all_is_refused() {
        for flag in ["-d", "--budget"] {
            let arguments = ["kvbench", "run", flag, "0s"].map(Into::into);
            let failure = parse(arguments.into_iter()).unwrap_err().unwrap();
            assert!(failure.text.contains("no time"), "{}", failure.text);
        }
    }

    #[test]
    fn a_memory_in_which_no_engine_works_is_refused() {
        for flag in ["--mem", "--limit-memory"] {
            for size in ["0", "1", "1048575"] {
                let arguments = ["kvbench", "run", flag, size].map(Into::into);
                let failure = parse(arguments.into_iter()).unwrap_err().unwrap();
                assert!(failure.text.contains("1MiB at least"), "{}", failure.text);
            }
        }
    }

    #[test]
    fn a_complaint_names_what_is_missing_and_what_is_known() {
        let text = |arguments: &[&str]| {
            let arguments = std::iter::once("kvbench").chain(arguments.iter().copied());
            parse(arguments.map(Into::into)).unwrap_err().unwrap().text
        };
        let missing = text(&["table"]);
        assert!(missing.contains("were not provided: <FOLDER>"), "{missing}");
        let unknown = text(&["run", "--format", "xml"]);
        assert!(unknown.contains("[possible values: table, md, csv, json]"), "{unknown}");
        assert!(!missing.contains('\n') && !unknown.contains('\n'));
    }

    #[test]
    fn a_misspelt_flag_is_one_line_with_the_right_one() {
        let arguments = ["kvbench", "run", "--recrods", "7"].map(Into::into);
        let failure = parse(arguments.into_iter()).unwrap_err().unwrap();
        assert!(!failure.text.contains('\n'));
        assert!(failure.text.contains("'--records'"), "{}", failure.text);
    }
}
