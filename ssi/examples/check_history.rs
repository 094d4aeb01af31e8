//! Checks the history on standard input and prints the report: `check_history < history.jsonl`.

use std::io::stdin;

#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
fn main() -> kv::Result<()> {
    let history = ssi::history::read("standard input", stdin().lock())?;
    let report = ssi::history::check(&history)?;
    print!("{report}");
    if let Some(anomaly) = report.anomalies.first() {
        println!("\n{}", anomaly.dot());
    }
    Ok(())
}
