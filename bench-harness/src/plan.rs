//! From the command line to a plan: which engines, which workloads at which sizes, how often.

mod engine_settings;
mod pace;
mod sweep;

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kv::Durability;
use serde::Serialize;

use crate::cli::{CommonArgs, Format, RunArgs};
use crate::engines::{self, EngineConfig, Registration};
use crate::failure::{Failure, Outcome};
use crate::input;
use crate::stores;
use crate::utc;
use crate::workload::{Bytes, Catalog, Count, PhaseKind, Span, Workload};

pub(crate) use engine_settings::EngineSettings;
use engine_settings::add_settings;

/// The blocks of `run`, unless another number is asked for: enough to show a difference of 10 % in most runs.
pub(crate) const RUN_BLOCKS: u32 = 20;
/// The blocks of `quick`, unless another number is asked for.
pub(crate) const QUICK_BLOCKS: u32 = 3;
/// The workloads that `run` runs when none is chosen.
const DEFAULT_WORKLOADS: [&str; 4] = ["ycsb-a", "ycsb-b", "ycsb-c", "ycsb-e"];
/// Steps of a random stream: as many distinct operations as a processor cache cannot predict.
const STREAM_STEPS: usize = 1 << 20;
/// The same in `quick`, where drawing them would take longer than running them.
const QUICK_STREAM_STEPS: usize = 1 << 16;
/// The time for all of `quick`, unless another is asked for.
const QUICK_BUDGET: Duration = Duration::from_secs(55);
/// The time to load a record, for the estimate of a dry run.
const ESTIMATED_LOAD_NS: f64 = 2_000.0;
/// The time that a cell takes besides its phases, for the same estimate: two processes, the data, and short waits for rest.
/// The 135 cells of `quick` took 145 ms each with the engines of the workspace. An engine with much work left takes longer.
const ESTIMATED_CELL_S: f64 = 0.145;

/// Everything that a run does, resolved.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Plan {
    /// The name of the run: time and label.
    pub(crate) run_id: String,
    /// The engines, in the order of the registry.
    #[serde(serialize_with = "engine_names")]
    pub(crate) engines: Vec<Registration>,
    /// The workloads with the sizes of this run.
    pub(crate) workloads: Vec<(String, Workload)>,
    /// How often every engine runs every workload.
    pub(crate) blocks: u32,
    /// The seed of all randomness.
    pub(crate) seed: u64,
    /// The durability class to ask for.
    #[serde(serialize_with = "as_text")]
    pub(crate) durability: Durability,
    /// Operations a second that mixes shall make; as many as possible without.
    pub(crate) rate: Option<f64>,
    /// The memory budget of each engine.
    pub(crate) memory_budget_bytes: u64,
    /// The limit of each cell's memory, page cache included, without the memory of the harness.
    pub(crate) limit_memory_bytes: Option<u64>,
    /// The time for everything.
    pub(crate) budget: Option<Duration>,
    /// How many times slower the machine was than the one that sizes of `quick` were chosen on; only in `quick`.
    pub(crate) slowness: Option<f64>,
    /// The length of a stream of random operations.
    pub(crate) stream_steps: usize,
    /// The engine that ratios refer to.
    pub(crate) baseline: Option<String>,
    /// The folder of the run.
    #[serde(skip)]
    pub(crate) folder: PathBuf,
    /// Where engines keep their files; in the folder of the run without.
    #[serde(skip)]
    pub(crate) dir: Option<PathBuf>,
    /// How results are printed.
    #[serde(skip)]
    pub(crate) format: Format,
    /// No progress.
    #[serde(skip)]
    pub(crate) quiet: bool,
    /// Print the plan and run nothing.
    #[serde(skip)]
    pub(crate) dry_run: bool,
}

fn engine_names<S: serde::Serializer>(engines: &[Registration], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(engines.iter().map(|engine| engine.name))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes the field by reference")]
fn as_text<S: serde::Serializer>(durability: &Durability, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(durability)
}

impl Plan {
    /// The plan of `quick`.
    pub(crate) fn quick(known: &[Registration], common: &CommonArgs) -> Outcome<Self> {
        let all = Catalog::built_in()?.all().to_vec();
        let small = all.into_iter().filter_map(|(name, mut workload)| {
            workload.shrink_to_quick().then_some((name, workload))
        });
        let plan = Self::new(known, common, ("quick", QUICK_BLOCKS), small.collect())?;
        let budget = plan.budget.or(Some(QUICK_BUDGET));
        Ok(Self { budget, stream_steps: QUICK_STREAM_STEPS, ..plan })
    }

    /// The plan of `run`.
    pub(crate) fn run(
        known: &[Registration],
        common: &CommonArgs,
        args: &RunArgs,
    ) -> Outcome<Self> {
        let mut catalog = Catalog::built_in()?;
        let mut selectors = args.workloads.clone();
        for file in &args.file {
            let added = catalog.add_file(file)?;
            if args.workloads.is_empty() {
                selectors.extend(added);
            }
        }
        if selectors.is_empty() {
            selectors = DEFAULT_WORKLOADS.map(Into::into).to_vec();
        }
        let mut workloads = sweep::for_threads(catalog.select(&selectors)?, &args.threads)?;
        for (name, workload) in &mut workloads {
            resize(workload, args)
                .map_err(|text| Failure::usage(format!("workload {name}: {text}")))?;
        }
        let plan = Self::new(known, common, ("run", RUN_BLOCKS), workloads)?;
        let rate = args.rate.map(|rate| rate as f64);
        Ok(Self { durability: args.durability, rate, ..plan })
    }

    /// The plan of `quick` for this machine as it is now. `keep_blocks`: their number was asked for.
    pub(crate) fn for_this_machine(self, keep_blocks: bool) -> Self {
        let slowness = pace::slowness();
        Self { slowness: Some(slowness), ..pace::fit(self, slowness, keep_blocks) }
    }

    fn new(
        known: &[Registration],
        common: &CommonArgs,
        (command, blocks): (&str, u32),
        mut workloads: Vec<(String, Workload)>,
    ) -> Outcome<Self> {
        workloads.iter_mut().try_for_each(note_input)?;
        let all = ["*".to_string()];
        let selectors = if common.engines.is_empty() { &all[..] } else { &common.engines };
        let engines = engines::select(known, selectors)?;
        check_baseline(common.baseline.as_deref(), &engines)?;
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let label = common.label.as_deref().unwrap_or(command);
        let blocks = common.reps.unwrap_or(blocks);
        assert!(blocks > 0, "a run has a block");
        let run_id = utc::run_name(label);
        let folder = common.out.join(&run_id);
        Ok(Self {
            run_id,
            engines,
            workloads,
            blocks,
            seed: common.seed.unwrap_or(since_1970.as_micros() as u64 % 10_000_000),
            durability: Durability::Buffered,
            rate: None,
            memory_budget_bytes: common.mem,
            limit_memory_bytes: common.limit_memory,
            budget: common.budget,
            slowness: None,
            stream_steps: STREAM_STEPS,
            baseline: common.baseline.clone(),
            folder,
            dir: common.dir.clone(),
            format: common.format,
            quiet: common.quiet,
            dry_run: common.dry_run,
        })
    }

    /// The same plan for the run whose folder is at `path`, under that folder's name.
    pub(crate) fn in_folder(self, path: &Path) -> Self {
        let run_id = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Self { run_id, folder: path.to_path_buf(), ..self }
    }

    /// The folder in which engines keep their files while they run.
    pub(crate) fn stores(&self) -> PathBuf {
        stores::path(&self.folder, self.dir.as_deref(), std::process::id())
    }

    /// How each engine is set up; once more for each class that is asked for, where it makes a difference.
    pub(crate) fn engine_settings(&self) -> Vec<EngineSettings> {
        let class = |w: &Workload| w.durability.unwrap_or(self.durability);
        let mut asked: Vec<_> =
            self.workloads.iter().map(|(_, w)| (class(w), w.value_len())).collect();
        asked.sort_unstable();
        asked.dedup();
        let mut engine_settings: Vec<EngineSettings> = Vec::new();
        for engine in &self.engines {
            let mut classes: Vec<_> = asked
                .iter()
                .map(|(class, len)| (engine.effective_durability(*class), *len))
                .collect();
            classes.dedup();
            for (durability, value_bytes) in classes {
                let memory_budget_bytes = self.memory_budget_bytes;
                let config = EngineConfig {
                    memory_budget_bytes,
                    durability,
                    value_bytes,
                    limit_memory_bytes: self.limit_memory_bytes,
                };
                add_settings(&mut engine_settings, engine, durability, (engine.settings)(config));
            }
        }
        engine_settings
    }

    /// An estimate of the whole run, in seconds. Inputs count with their known sizes.
    pub(crate) fn estimated_s(&self) -> f64 {
        let (fixed, scaled) = self.estimated_parts_s(1.0);
        let all = fixed + scaled;
        self.budget.map_or(all, |budget| all.min(budget.as_secs_f64()))
    }

    /// The part of that estimate that no size changes, and the other, on a machine that is so many times slower.
    fn estimated_parts_s(&self, slowness: f64) -> (f64, f64) {
        let cells = self.engines.len() as f64 * f64::from(self.blocks);
        let phases: f64 = self.workloads.iter().map(|(_, w)| estimated_phases_s(w, slowness)).sum();
        let fixed = ESTIMATED_CELL_S * slowness * self.workloads.len() as f64;
        assert!(fixed >= 0.0 && phases >= 0.0, "an estimate is a time");
        (fixed * cells, phases * cells)
    }

    /// The estimate for one cell of the workload at `at`, in seconds.
    pub(crate) fn estimated_cell_s(&self, at: usize) -> f64 {
        let slowness = self.slowness.unwrap_or(1.0);
        ESTIMATED_CELL_S * slowness + estimated_phases_s(&self.workloads[at].1, slowness)
    }
}

/// The time of the phases of a cell: loads take longer on a slower machine, phases that time ends do not.
fn estimated_phases_s(workload: &Workload, slowness: f64) -> f64 {
    let phases = workload.phase.iter().map(|phase| match phase.kind() {
        Ok(PhaseKind::Mix(_)) => phase.duration.map_or(0.0, |span| span.0.as_secs_f64()),
        Ok(PhaseKind::Rest(time)) => time.0.as_secs_f64(),
        Ok(PhaseKind::Load(_) | PhaseKind::Replay) => {
            let ops = workload.records.or(phase.ops).map_or(116_000, |count| count.0);
            ops as f64 * ESTIMATED_LOAD_NS / 1e9 * slowness
        }
        _ => 0.0,
    });
    phases.sum()
}

/// Refuses a baseline that is none of `engines`.
fn check_baseline(baseline: Option<&str>, engines: &[Registration]) -> Outcome<()> {
    match baseline.filter(|name| !engines.iter().any(|engine| engine.name == *name)) {
        None => Ok(()),
        Some(unknown) => {
            let names = engines.iter().map(|engine| engine.name);
            Err(Failure::usage(crate::suggest::unknown("baseline", unknown, names)))
        }
    }
}

/// Refuses an input that cannot be read, before a folder is made, and gives its workload the mean size of its values: the
/// layout of some engines depends on the size.
fn note_input((name, workload): &mut (String, Workload)) -> Outcome<()> {
    let Some(input) = workload.input.as_deref() else { return Ok(()) };
    let within = |failure: Failure| failure.within(format!("workload {name}"));
    input::check_readable(input).map_err(within)?;
    let divisor = workload.value_divisor.map_or(1, |divisor| divisor.0);
    let content = input::read(input, workload.input_rows()).map_err(within)?;
    workload.value_bytes = Some(Bytes(content.mean_value_bytes(divisor)));
    Ok(())
}

/// Puts the sizes of the command line in the place of the workload's.
fn resize(workload: &mut Workload, args: &RunArgs) -> Result<(), String> {
    workload.records = args.records.map(Count).or(workload.records);
    let unused = [("value", args.value.is_some()), ("key", args.key.is_some())];
    let unused = unused.into_iter().find(|(_, is_given)| *is_given && workload.input.is_some());
    if let Some((flag, _)) = unused {
        return Err(format!("its input brings keys and values; leave out --{flag}"));
    }
    workload.value_bytes = args.value.map(Bytes).or(workload.value_bytes);
    workload.key = args.key.or(workload.key);
    for phase in &mut workload.phase {
        if let PhaseKind::Mix(_) = phase.kind()? {
            phase.ops = args.ops.map(Count).or(phase.ops);
            if phase.ops.is_none() || args.ops.is_some() {
                phase.duration = phase.duration.or(Some(Span(args.duration)));
            }
        }
    }
    workload.check()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_that_an_input_brings_are_refused() {
        let plan = |workloads: &str, flag: &str, value: &str| {
            let arguments = ["kvbench", "run", "-w", workloads, flag, value].map(Into::into);
            let cli = crate::cli::parse(arguments.into_iter()).unwrap();
            let Some(crate::cli::Command::Run(run)) = cli.command else { panic!("this is `run`") };
            Plan::run(&engines::own(), &cli.common, &run)
        };
        for (flag, value) in [("--value", "200"), ("--key", "padded")] {
            let text = plan("ycsb-a,wordnet", flag, value).unwrap_err().text;
            let reason = format!("its input brings keys and values; leave out {flag}");
            assert_eq!(text, format!("workload wordnet: {reason}"));
            assert!(plan("ycsb-a,ycsb-b", flag, value).is_ok());
        }
    }

    #[test]
    fn engines_learn_the_mean_size_of_the_values_of_an_input() {
        let common = crate::cli::parse(["kvbench".into()].into_iter()).unwrap().common;
        let plan = Plan::quick(&engines::own(), &common).unwrap();
        let size = |input: &str| {
            let of_input =
                |(_, workload): &&(String, Workload)| workload.input.as_deref() == Some(input);
            plan.workloads.iter().find(of_input).unwrap().1.value_len()
        };
        assert!((1_000..2_000).contains(&size("git-history")), "{}", size("git-history"));
        assert!((80..150).contains(&size("wordnet")), "{}", size("wordnet"));
    }
}
