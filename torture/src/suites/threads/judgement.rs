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
        assert_eq!(numbers.len(), given.len(), "each write has one number");
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
        assert_eq!(scan.len(), 2 * PAIRS, "a place for each key");
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

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBER: fn(u64) -> SequenceNumber = SequenceNumber;

    /// Writes 1 and 2 put pair 0, write 3 puts pair 1; their numbers are their ids.
    fn writes() -> Vec<Write> {
        let write = |id, pair| Write { id, pair, sequence: NUMBER(id), is_put: true };
        vec![write(1, 0), write(2, 0), write(3, 1)]
    }

    fn judged(gets: Vec<Get>, scans: Vec<Scan>) -> Result<(), String> {
        judge(&[Record { writes: writes(), gets, scans }]).map(drop)
    }

    fn get(pair: usize, least: u64, found: Option<WriteId>) -> Get {
        Get { pair, least: NUMBER(least), found }
    }

    fn scan(first: [Option<WriteId>; 2], second: [Option<WriteId>; 2]) -> Scan {
        let mut scan = vec![None; 2 * PAIRS];
        scan[..2].copy_from_slice(&first);
        scan[2..4].copy_from_slice(&second);
        scan
    }

    #[test]
    fn a_get_shows_no_write_that_is_older_than_a_known_one() {
        judged(vec![get(0, 1, Some(1)), get(0, 1, Some(2))], vec![]).unwrap();
        judged(vec![get(0, 2, Some(1))], vec![]).unwrap_err();
        judged(vec![get(0, 0, Some(2)), get(0, 0, Some(1))], vec![]).unwrap_err();
        judged(vec![get(1, 0, Some(3)), get(0, 0, Some(1))], vec![]).unwrap_err();
        judged(vec![get(0, 1, None)], vec![]).unwrap_err();
        judged(vec![get(0, 0, Some(9))], vec![]).unwrap_err();
    }

    #[test]
    fn a_scan_shows_one_moment() {
        judged(vec![], vec![scan([Some(1); 2], [None; 2]), scan([Some(2); 2], [Some(3); 2])])
            .unwrap();
        judged(vec![], vec![scan([Some(1), Some(2)], [None; 2])]).unwrap_err();
        judged(vec![], vec![scan([Some(1); 2], [Some(3); 2])]).unwrap_err();
    }

    #[test]
    fn a_number_is_given_out_once() {
        let mut writes = writes();
        writes[1].sequence = NUMBER(1);
        assert!(judge(&[Record { writes, ..Record::default() }]).is_err());
    }
}
