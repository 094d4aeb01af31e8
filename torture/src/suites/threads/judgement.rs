//! Checks whether the records of the threads fit one order of writes.

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
        let mut horizon = SequenceNumber::ZERO;
        for get in &record.gets {
            writes.judge_get(get, &mut horizon)?;
        }
        record.scans.iter().try_for_each(|scan| writes.judge_scan(scan))?;
    }
    Ok(writes)
}

/// Each key holds the write with the greatest number in the end.
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

    /// Batches become visible in the order of their numbers: a get shows no pair as it was before a write that is not
    /// newer than `horizon`, the newest that the thread knew of.
    fn judge_get(&self, get: &Get, horizon: &mut SequenceNumber) -> Result<(), String> {
        *horizon = get.least.max(*horizon);
        let of_pair = &self.by_pair[get.pair];
        let floor = of_pair.range(..=*horizon).next_back().map(|(floor, _)| *floor);
        let Some(id) = get.found else {
            // Absent is right at a moment, not before the floor, at which the pair was deleted.
            let Some(floor) = floor else { return Ok(()) };
            let is_right = of_pair.range(floor..).any(|(_, write)| !write.is_put);
            let missed = || format!("a get missed write {floor}, and the thread knew of {horizon}");
            return is_right.then_some(()).ok_or_else(missed);
        };
        let number = self.number(id)?;
        if floor.is_some_and(|floor| number < floor) {
            let floor = floor.unwrap_or_default();
            return Err(format!(
                "a get of pair {} saw write {number} instead of {floor}, and the thread knew of {horizon}",
                get.pair
            ));
        }
        *horizon = number.max(*horizon);
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
