//! Finds sequence numbers for writes that were never acknowledged.
//!
//! Each write has a least and a greatest possible number. An acknowledged write has exactly one. A pair that shows write
//! `b` although `a` is there too proves that `a` came before `b`. So the least number of `b` is greater than that of `a`,
//! and so on along each chain. A solution exists if no least number is pushed past its greatest. A cycle pushes without
//! end.

use std::collections::BTreeMap;

use super::work::WriteId;

/// The writes that are there, and which came before which.
pub(super) struct Order<'n> {
    /// Numbers that are taken.
    taken: &'n BTreeMap<u64, WriteId>,
    /// All numbers are less than this.
    end: u64,
    writes: BTreeMap<WriteId, Bounds>,
    /// Pairs of an earlier and a later write.
    befores: Vec<(WriteId, WriteId)>,
}

/// From, and up to but not including.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    least: u64,
    end: u64,
}

impl<'n> Order<'n> {
    pub(super) fn new(taken: &'n BTreeMap<u64, WriteId>, end: u64) -> Self {
        Self { taken, end, writes: BTreeMap::new(), befores: Vec::new() }
    }

    /// A write that is there. Without a number of its own it has one that is greater than `floor`.
    pub(super) fn add(&mut self, id: WriteId, floor: u64, sequence: Option<u64>) {
        let unknown = Bounds { least: self.free_from(floor + 1), end: self.end };
        let known = |sequence| Bounds { least: sequence, end: sequence + 1 };
        assert!(
            sequence.is_none_or(|sequence| self.taken.get(&sequence) == Some(&id)),
            "its number"
        );
        let before = self.writes.insert(id, sequence.map_or(unknown, known));
        assert!(before.is_none(), "a write is added once");
    }

    /// `first` came before `then`.
    pub(super) fn before(&mut self, first: WriteId, then: WriteId) {
        assert!(first != then, "no write comes before itself");
        self.befores.push((first, then));
    }

    /// Whether it can be so.
    pub(super) fn check(mut self) -> Result<(), String> {
        // In a chain without a circle each round settles at least one more write.
        for _ in 0..=self.writes.len() {
            if !self.push()? {
                return Ok(());
            }
        }
        Err("there is no order in which what it shows could have been written".into())
    }

    /// Pushes each write behind those that came before it. Whether any moved.
    fn push(&mut self) -> Result<bool, String> {
        let mut moved = false;
        for (first, then) in &self.befores {
            let (Some(first_bounds), Some(bounds)) =
                (self.writes.get(first), self.writes.get(then))
            else {
                continue;
            };
            let (behind, bounds) = (first_bounds.least + 1, *bounds);
            if behind <= bounds.least {
                continue;
            }
            let least =
                if bounds.end == bounds.least + 1 { behind } else { self.free_from(behind) };
            self.writes.insert(*then, Bounds { least, ..bounds });
            moved = true;
        }
        let stuck = self.writes.iter().find(|(_, bounds)| bounds.least >= bounds.end);
        stuck.map_or(Ok(moved), |(id, bounds)| {
            let Bounds { least, end } = bounds;
            Err(format!(
                "write {id} shows as if it had number {least} or a later one, which must be less than {end}"
            ))
        })
    }

    /// The first number from `from` on that nobody has.
    fn free_from(&self, from: u64) -> u64 {
        let mut free = from;
        while self.taken.contains_key(&free) {
            free += 1;
        }
        debug_assert!(free >= from, "a search goes up");
        free
    }
}

#[cfg(test)]
mod tests {
    use super::super::work::Session;
    use super::*;

    fn id(count: u32) -> WriteId {
        WriteId { session: Session::default(), writer: 0, count }
    }

    /// Writes 1 and 2 have the numbers 1 and 3.
    fn taken() -> BTreeMap<u64, WriteId> {
        BTreeMap::from([(1, id(1)), (3, id(2))])
    }

    fn order(taken: &BTreeMap<u64, WriteId>) -> Order<'_> {
        let mut order = Order::new(taken, 6);
        order.add(id(1), 0, Some(1));
        order.add(id(2), 1, Some(3));
        order.add(id(8), 1, None);
        order.add(id(9), 1, None);
        order
    }

    #[test]
    fn a_write_without_a_number_fits_into_a_gap() {
        let taken = taken();
        let mut order = order(&taken);
        order.before(id(1), id(8));
        order.before(id(8), id(2));
        order.before(id(2), id(9));
        order.check().unwrap();
    }

    #[test]
    fn known_numbers_are_an_order() {
        let taken = taken();
        let mut order = order(&taken);
        order.before(id(2), id(1));
        order.check().unwrap_err();
    }

    #[test]
    fn two_writes_do_not_fit_into_a_gap_for_one() {
        let taken = taken();
        let mut order = order(&taken);
        order.before(id(8), id(9));
        order.before(id(9), id(2));
        order.check().unwrap_err();
    }

    #[test]
    fn a_circle_is_no_order() {
        let taken = taken();
        let mut order = order(&taken);
        order.before(id(8), id(9));
        order.before(id(9), id(8));
        order.check().unwrap_err();
    }
}
