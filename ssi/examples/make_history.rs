//! Prints a history of transactions under snapshot isolation: `make_history TRANSACTIONS KEYS [serial]`.
//!
//! Eight clients run at the same time, each with two reads and two writes a transaction. With `serial`, they take turns.

use std::collections::HashMap;
use std::env::args;
use std::io::{BufWriter, Write, stdout};

/// Steps of Marsaglia's generator: the same numbers in each run.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

struct Client {
    snapshot: u64,
    reads: Vec<(u64, Option<u64>)>,
}

fn main() -> std::io::Result<()> {
    let argument = |index| args().nth(index).and_then(|text| text.parse().ok());
    let (transactions, keys): (u64, u64) =
        (argument(1).unwrap_or(1000), argument(2).unwrap_or(100));
    let clients = if args().nth(3).is_some() { 1 } else { 8 };
    let mut output = BufWriter::new(stdout().lock());
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    // The commit and the value of the newest version of each key. Versions below the snapshots are not needed.
    let mut newest: HashMap<u64, (u64, u64)> = HashMap::new();
    let mut running: Vec<Option<Client>> = (0..clients).map(|_| None).collect();
    let (mut begun, mut commit, mut values) = (0, 0, 0);
    while begun < transactions || running.iter().any(Option::is_some) {
        let process = random.below(clients) as usize;
        match running[process].take() {
            None if begun < transactions => {
                begun += 1;
                writeln!(output, r#"{{"type":"invoke","process":{process}}}"#)?;
                let mut read = || {
                    let key = random.below(keys);
                    (key, newest.get(&key).map(|(_, value)| *value))
                };
                running[process] = Some(Client { snapshot: commit, reads: vec![read(), read()] });
            }
            None => {}
            Some(client) => {
                let writes = [random.below(keys), random.below(keys)];
                let stale =
                    |key: &u64| newest.get(key).is_some_and(|(at, _)| *at > client.snapshot);
                let conflict = writes.iter().any(stale);
                let mut operations: Vec<String> = client
                    .reads
                    .iter()
                    .map(|(key, value)| {
                        let value = value.map_or("null".to_string(), |value| value.to_string());
                        format!(r#"["r",{key},{value}]"#)
                    })
                    .collect();
                commit += u64::from(!conflict);
                for key in writes {
                    values += 1;
                    operations.push(format!(r#"["w",{key},{values}]"#));
                    if !conflict {
                        newest.insert(key, (commit, values));
                    }
                }
                let (kind, snapshot) = (if conflict { "fail" } else { "ok" }, client.snapshot);
                let number =
                    if conflict { String::new() } else { format!(r#","commit":{commit}"#) };
                let operations = operations.join(",");
                writeln!(
                    output,
                    r#"{{"type":"{kind}","process":{process},"snap":{snapshot}{number},"value":[{operations}]}}"#
                )?;
            }
        }
    }
    output.flush()
}
