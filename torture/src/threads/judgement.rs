//! Whether what the threads wrote down can have happened one after the other.

use std::collections::{BTreeMap, HashMap};

use kv::{Kv, SequenceNumber};

use super::actors::{Get, PAIRS, Record, Scan, Write, WriteId, id_of, key};

/// All acknowledged writes, by pair and number.
pub(super) struct Writes {
    by_pair: Vec<BTreeMap<SequenceNumber, Write>>,
    numbers: HashMap<WriteId, SequenceNumber>,
}

/// Judges all records.
pub(super) fn judge(records: &[Record]) -> Result<Writes, String> {
    let writes = Writes::of(records)?;
    for record in records {
        let mut seen = [SequenceNumber::ZERO; PAIRS];
        for get in &record.gets {
            writes.judge_get(get, &mut seen[get.pair])?;
        }
        record.scans.iter().try_for_each(|scan| writes.judge_scan(scan))?;
    }
    Ok(writes)
}

/// What each key holds in the end is the write with the greatest number.
pub(super) fn judge_end(writes: &Writes, engine: &dyn Kv) -> Result<(), String> {
    for (pair, of_pair) in writes.by_pair.iter().enumerate() {
        let last = of_pair.values().next_back().filter(|write| write.is_put).map(|write| write.id);
        for half in [0, 1] {
            let found = engine.get(&key(pair, half)).map_err(|e| format!("a get failed: {e}"))?;
            let found = found.map(|value| id_of(&value)).transpose()?;
            if found != last {
                return Err(format!(
                    "in the end pair {pair} holds {found:x?} instead of {last:x?}"
                ));
            }
        }
    }
    Ok(())
}

impl Writes {
    fn of(records: &[Record]) -> Result<Self, String> {
        let mut by_pair = vec![BTreeMap::new(); PAIRS];
        let mut numbers = HashMap::new();
        let mut given = HashMap::new();
        for write in records.iter().flat_map(|record| &record.writes) {
            if given.insert(write.sequence, write.id).is_some() {
                return Err(format!("number {} was given out twice", write.sequence));
            }
            numbers.insert(write.id, write.sequence);
            by_pair[write.pair].insert(write.sequence, *write);
        }
        Ok(Self { by_pair, numbers })
    }

    /// The number of a write that somebody has seen. One that was cut off by the close was never acknowledged.
    fn number(&self, id: WriteId) -> Result<SequenceNumber, String> {
        let number = self.numbers.get(&id).copied();
        number.ok_or_else(|| format!("write {id:x} was seen and never acknowledged"))
    }

    fn judge_get(&self, get: &Get, seen: &mut SequenceNumber) -> Result<(), String> {
        let Some(id) = get.found else {
            // Absent is right at a moment, not before what was acknowledged, at which the pair was deleted.
            let mut since = self.by_pair[get.pair].range(get.least..);
            let is_right =
                get.least == SequenceNumber::ZERO || since.any(|(_, write)| !write.is_put);
            return if is_right { Ok(()) } else { Err("a get missed an acknowledged put".into()) };
        };
        let number = self.number(id)?;
        if number < get.least {
            return Err(format!("a get saw write {number} after {} was acknowledged", get.least));
        }
        if number < *seen {
            return Err(format!("a thread saw write {number} after it had seen {seen}"));
        }
        *seen = number;
        Ok(())
    }

    fn judge_scan(&self, scan: &Scan) -> Result<(), String> {
        let mut newest = SequenceNumber::ZERO;
        for pair in 0..PAIRS {
            if scan[2 * pair] != scan[2 * pair + 1] {
                return Err(format!("a scan saw half of a batch of pair {pair}"));
            }
            let number = scan[2 * pair].map(|id| self.number(id)).transpose()?;
            newest = newest.max(number.unwrap_or_default());
        }
        for pair in 0..PAIRS {
            let Some(id) = scan[2 * pair] else { continue };
            let shown = self.number(id)?;
            let later = self.by_pair[pair].range(shown.next()..).next();
            if let Some((missed, _)) = later.filter(|(later, _)| **later <= newest) {
                return Err(format!("a scan shows write {newest} and not write {missed}"));
            }
        }
        Ok(())
    }
}
