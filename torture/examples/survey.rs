//! What each suite visits on the toy engine, and which suite is the first to find each of its planted bugs.

use durable::OpKind;
use torture::SUITES;
use torture::planted::{Planted, must_find};
use torture::toy::{Bug, ToySubject};

#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let toy = ToySubject::default();
    for suite in SUITES {
        println!("{:12} {}", suite.name, (suite.run)(&toy)?);
    }
    let built = |name, bug| Planted::built(name, "", ToySubject { bug: Some(bug) });
    let bugs = [
        Planted::skipping("no directory sync", "", toy, OpKind::SyncDir, ""),
        built("a batch in pieces", Bug::BatchInPieces),
        built("checksums ignored", Bug::ChecksumsIgnored),
        built("deletes forgotten", Bug::DeletesForgotten),
    ];
    for bug in bugs {
        let found = must_find(&bug, SUITES)?;
        println!("{}: found by {}, {}", bug.name, found.suite, found.failure);
    }
    Ok(())
}
