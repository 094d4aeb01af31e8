//! `kvbench calibration`: how often the comparison errs on recorded blocks, instead of simulated ones.
//!
//! A record has the speeds of one engine under four names, two of them slowed down by a known amount
//! (`examples/calibration.rs` records it). Its blocks are divided into runs as short as those of `run` and `quick`, and
//! each run is compared by the test of the tables. A difference between the equal engines is then an error, and so is a
//! verdict that does not call a slowed engine slower.

mod rates;
mod record;

use std::path::{Path, PathBuf};

use crate::failure::Outcome;
use crate::output;
use crate::plan::{QUICK_BLOCKS, RUN_BLOCKS};
use rates::Rates;
use record::{PhaseRecord, Record};

/// Prints the rates of the record that `files` make up; with `extract`, the rows that the rates follow from.
pub(crate) fn calibrate(files: &[PathBuf], extract: bool) -> Outcome<()> {
    let record = read(files)?;
    output::result(&if extract { record.to_csv()? } else { render(&record) })
}

fn read(files: &[PathBuf]) -> Outcome<Record> {
    let files: Vec<&Path> = files.iter().map(PathBuf::as_path).collect();
    Record::read(&files)
}

/// The rates for the blocks of `run` and for those of `quick`, of disjoint runs and of runs whose blocks are drawn.
fn render(record: &Record) -> String {
    let table = |blocks: u32| {
        let disjoint = rates(record, blocks, Rates::of_disjoint_runs);
        let drawn = rates(record, blocks, Rates::of_drawn_runs);
        [
            render_rates(&format!("disjoint runs of {blocks} blocks"), &disjoint),
            render_rates(&format!("runs of {blocks} blocks that are drawn"), &drawn),
        ]
    };
    [RUN_BLOCKS, QUICK_BLOCKS].map(table).concat().join("\n")
}

/// The rates of each phase, and those of all phases at the end.
fn rates(
    record: &Record,
    blocks: u32,
    of: fn(&PhaseRecord, usize) -> Rates,
) -> Vec<(String, Rates)> {
    let of_phase = |phase: &PhaseRecord| (phase.name.clone(), of(phase, blocks as usize));
    let mut rates: Vec<_> = record.phases().iter().map(of_phase).collect();
    let all = rates.iter().fold(Rates::default(), |sum, (_, rates)| sum + *rates);
    rates.push(("all".into(), all));
    rates
}

fn render_rates(title: &str, rates: &[(String, Rates)]) -> String {
    let percent = |share: f64| format!("{:.1} %", share * 100.0);
    let line = |(name, rates): &(String, Rates)| {
        let [first, second] = rates.falsely_called();
        format!(
            "{name:<12}{:>6}{:>11}{:>11}{:>20}{:>20}",
            rates.runs(),
            percent(first),
            percent(second),
            percent(rates.slow_10_called()),
            percent(rates.slow_20_called()),
        )
    };
    let head = [
        title.to_string(),
        "phase         runs   a slower   b slower  10 % slower called  20 % slower called".into(),
    ];
    head.into_iter().chain(rates.iter().map(line)).collect::<Vec<_>>().join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The records of `results/calibration`: all of them together, or those whose file name contains `part`.
    fn published(part: &str) -> Record {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../results/calibration");
        let mut files: Vec<_> =
            folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_str().unwrap().contains(part));
        files.sort();
        read(&files).unwrap()
    }

    fn total(record: &Record, blocks: u32, of: fn(&PhaseRecord, usize) -> Rates) -> Rates {
        rates(record, blocks, of).pop().unwrap().1
    }

    #[test]
    fn recorded_runs_of_the_default_length_err_as_rarely_as_the_readme_says() {
        let record = published("");
        let drawn = total(&record, RUN_BLOCKS, Rates::of_drawn_runs);
        // The test has a level of 5 %, for both directions together: the records may show chance above it.
        assert!(drawn.falsely_called().iter().all(|rate| *rate <= 0.05), "{drawn:?}");
        assert!(drawn.falsely_called().iter().sum::<f64>() <= 0.06, "{drawn:?}");
        assert!(drawn.slow_10_called() >= 0.8 && drawn.slow_20_called() >= 0.99, "{drawn:?}");
        // A run does not span two records, which were made at different times.
        let disjoint = ["first", "second"]
            .map(|name| total(&published(name), RUN_BLOCKS, Rates::of_disjoint_runs));
        let disjoint = disjoint[0] + disjoint[1];
        assert!(
            disjoint.slow_10_called() >= 0.8 && disjoint.slow_20_called() >= 0.99,
            "{disjoint:?}"
        );
        assert_eq!(disjoint.runs(), 18);
    }

    #[test]
    fn the_readme_states_the_rates_of_each_record() {
        let readme = include_str!("../README.md").replace("\n  ", " ");
        for name in ["first", "second"] {
            let record = published(name);
            for (blocks, command) in [(RUN_BLOCKS, "`run`"), (QUICK_BLOCKS, "`quick`")] {
                let rates = total(&record, blocks, Rates::of_drawn_runs);
                let percent = |share: f64| format!("{:.0} %", share * 100.0);
                let stated = format!(
                    "| {command} | {blocks} | {name} | {} | {} | {} |",
                    percent(rates.falsely_called().iter().sum()),
                    percent(rates.slow_10_called()),
                    percent(rates.slow_20_called()),
                );
                assert!(readme.contains(&stated), "{stated}");
            }
        }
    }

    /// A record whose slowed engines are slower by their share in every block, and whose equal engines take turns.
    fn csv(blocks: u32) -> String {
        let block = |block: u32| {
            let noise = 1.0 + 0.01 * f64::from(block % 2);
            let speeds = [noise, 2.01 - noise, 0.9, 0.8];
            record::ENGINES.into_iter().zip(speeds).flat_map(move |(engine, speed)| {
                let sum = format!("{block},1,{engine},put,all,{speed},7\n");
                [sum, format!("{block},1,{engine},put,put,0.5,\n")]
            })
        };
        let head = "block,order,engine,phase,op,throughput_ops_s,loop_ns\n".to_string();
        std::iter::once(head).chain((1..=blocks).flat_map(block)).collect()
    }

    fn record(text: &str) -> Outcome<Record> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        std::fs::write(&path, text).unwrap();
        read(&[path])
    }

    #[test]
    fn equal_engines_are_never_told_apart_and_slower_ones_always_where_noise_is_small() {
        let record = record(&csv(83)).unwrap();
        for of in [Rates::of_disjoint_runs, Rates::of_drawn_runs] {
            let (_, all) = rates(&record, RUN_BLOCKS, of).pop().unwrap();
            assert!(all.falsely_called().iter().sum::<f64>() < 0.1, "{all:?}");
            assert!(all.slow_10_called() > 0.99 && all.slow_20_called() > 0.99, "{all:?}");
        }
        // 83 blocks are four runs of twenty; the last three blocks belong to none.
        assert_eq!(rates(&record, RUN_BLOCKS, Rates::of_disjoint_runs)[0].1.runs(), 4);
    }

    #[test]
    fn the_extract_of_a_record_is_the_same_record() {
        let text = csv(4);
        let original = record(&text).unwrap();
        let extract = original.to_csv().unwrap();
        assert!(extract.lines().count() == 1 + 4 * 4 && !extract.contains("put,put"), "{extract}");
        assert_eq!(render(&record(&extract).unwrap()), render(&original));
    }

    #[test]
    fn a_block_that_an_interrupt_cut_off_is_left_out() {
        let text = csv(5);
        let cut = text.rsplit_once("5,1,calibration:slow-20,put,all").unwrap().0;
        assert_eq!(record(cut).unwrap().phases()[0].blocks(), [1, 2, 3, 4]);
    }

    #[test]
    fn rows_of_other_engines_are_no_record() {
        let failure = record(&csv(2).replace("calibration:slow-10", "bitcask")).unwrap_err();
        assert!(failure.text.contains("calibration:slow-10"), "{failure}");
        assert!(record("block\n1\n").unwrap_err().text.contains("is no record"));
    }

    #[test]
    fn rows_in_another_order_are_the_same_record() {
        let text = csv(40);
        let (head, rows) = text.split_once('\n').unwrap();
        let mut rows: Vec<_> = rows.lines().collect();
        rows[8..100].reverse();
        let other = record(&format!("{head}\n{}\n", rows.join("\n"))).unwrap();
        assert_eq!(render(&other), render(&record(&text).unwrap()));
    }

    #[test]
    fn a_second_row_of_an_engine_in_a_block_is_refused() {
        let text = csv(3) + "2,1,calibration:b,put,all,1.0,7\n";
        let complaint = record(&text).unwrap_err().text;
        assert!(
            complaint.ends_with("is no record: a second row of calibration:b, put in block 2"),
            "{complaint}"
        );
    }

    #[test]
    fn blocks_whose_numbers_leave_no_room_for_those_of_a_second_file_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("record.csv");
        std::fs::write(&path, csv(1).replace("\n1,", &format!("\n{},", u32::MAX))).unwrap();
        assert!(read(std::slice::from_ref(&path)).is_ok());
        let complaint = read(&[path.clone(), path]).unwrap_err().text;
        assert!(complaint.contains("it has a block 4294967295"), "{complaint}");
    }

    #[test]
    fn a_record_that_cannot_be_read_is_no_mistake_in_a_record() {
        let missing = PathBuf::from("no-such-record.csv");
        let failure = read(&[missing]).unwrap_err();
        assert!(failure.text.starts_with("cannot read no-such-record.csv: "), "{failure}");
        assert_eq!(failure.kind, crate::failure::FailureKind::Io);
    }

    #[test]
    fn a_speed_that_no_run_measures_is_refused() {
        for speed in ["inf", "NaN", "-1"] {
            let text = csv(2).replace(",0.9,", &format!(",{speed},"));
            assert!(record(&text).unwrap_err().text.contains("a speed is"), "{speed}");
        }
    }
}
