//! From reads and writes to the dependency graph.

use super::anomaly::AnomalyKind;
use super::cycle::CycleEdge;
use super::graph::GraphBuilder;
use super::kinds::DependencyKind;
use super::model::{ABSENT, History, KeyId, Outcome, RecordedOperation, ScanBounds, ValueId};
use super::observation::{Observation, Observer};
use super::read_fault::ReadFault;
use super::scan_index::ScanIndex;
use super::versions::{Resolution, VersionId, VersionTable};
use super::write_index::WriteIndex;

/// The dependencies of a history that reads and writes show, and the faults that are no cycle.
#[derive(Debug)]
pub(super) struct Dependencies {
    pub(super) graph: GraphBuilder,
    pub(super) faults: Vec<ReadFault>,
    /// Each a cycle of two transactions.
    pub(super) lost_updates: Vec<[CycleEdge; 2]>,
}

/// One transaction that saw one version.
#[derive(Clone, Copy, Debug)]
struct VersionRead {
    version: VersionId,
    reader: u32,
    /// The reader scanned a range and missed the key.
    by_scan: bool,
    key: KeyId,
    /// The version of the key that the reader itself wrote, if it is certain that the reader updated the version it read.
    own: Option<VersionId>,
}

/// The tables that a history is judged by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tables<'h> {
    pub(super) history: &'h History,
    pub(super) writes: &'h WriteIndex,
    pub(super) installed: &'h [bool],
    pub(super) versions: &'h VersionTable,
}

impl Dependencies {
    /// Adds every dependency but those of time.
    pub(super) fn new(tables: Tables<'_>) -> Self {
        let transactions = tables.history.transactions.len() as u32;
        let mut found = Self {
            graph: GraphBuilder::new(transactions),
            faults: Vec::new(),
            lost_updates: Vec::new(),
        };
        found.add_write_order(tables);
        let mut reads = found.reads(tables);
        reads.sort_unstable_by_key(|read| (read.version, read.reader, read.by_scan));
        reads.dedup_by_key(|read| (read.version, read.reader));
        for readers in reads.chunk_by(|one, next| one.version == next.version) {
            found.add_anti_dependencies(tables, readers);
        }
        found
    }

    /// ww: each version comes before the next one of its key.
    fn add_write_order(&mut self, Tables { history, versions, .. }: Tables<'_>) {
        for key in (0..history.keys.len() as u32).map(KeyId) {
            for version in versions.of_key(key) {
                let Some(writer) = versions.writer(version) else { continue };
                versions.each_successor(key, version, &mut |next| {
                    let next = versions.writer(next).filter(|&next| next != writer);
                    if let Some(next) = next {
                        self.graph.edge(writer, next, DependencyKind::WriteWrite, Some(key));
                    }
                });
            }
        }
    }

    /// wr: each reader comes after the writer of the version. Returns the versions that were read.
    fn reads(&mut self, tables: Tables<'_>) -> Vec<VersionRead> {
        let history = tables.history;
        let scans = !history.ranges.is_empty();
        let scans = scans.then(|| ScanIndex::new(history, tables.versions, &mut self.graph));
        let mut reads = Vec::new();
        let mut observer = Observer::default();
        let mut observations = Vec::new();
        for reader in 0..history.transactions.len() as u32 {
            if history.transactions[reader as usize].outcome != Outcome::Committed {
                continue;
            }
            observer.replay(history, reader as usize, &mut |observation| {
                observations.push(observation);
            });
            let own = own_versions(tables, reader);
            for observation in observations.drain(..) {
                match observation {
                    Observation::Value { key, value } => {
                        reads.extend(self.read(tables, &own, (reader, key, value), false));
                    }
                    Observation::OwnWriteMissed { key, value, expected } => {
                        let (kind, expected) = (AnomalyKind::Internal, Some(expected));
                        self.faults.push(ReadFault {
                            kind,
                            reader,
                            key,
                            value,
                            other: None,
                            expected,
                        });
                    }
                    Observation::Gap { index, bounds, entries } => {
                        let Some(scans) = &scans else { continue };
                        let missed =
                            self.gap(tables, scans, &own, (reader, index, bounds, entries));
                        for key in missed {
                            reads.extend(self.read(tables, &own, (reader, key, ABSENT), true));
                        }
                    }
                }
            }
        }
        reads
    }

    /// The keys that a scan missed and that are to be resolved one by one; adds edges for the others.
    fn gap(
        &mut self,
        Tables { history, .. }: Tables<'_>,
        scans: &ScanIndex,
        own: &[(KeyId, VersionId)],
        (reader, index, bounds, entries): (u32, usize, &ScanBounds, &[(KeyId, ValueId)]),
    ) -> Vec<KeyId> {
        let found: Vec<KeyId> = entries.iter().map(|&(key, _)| key).collect();
        let written: Vec<KeyId> = own.iter().map(|&(key, _)| key).collect();
        let mut missed =
            scans.add_gap(history, reader, bounds, (&found, &written), &mut self.graph);
        // A key that the transaction had written before the scan shows its own write, or its own delete.
        for operation in &history.operations_of(reader as usize)[..index] {
            if let RecordedOperation::Write { key, .. } = *operation {
                missed.retain(|&missed| missed != key);
            }
        }
        missed
    }

    fn read(
        &mut self,
        Tables { history, writes, installed, versions }: Tables<'_>,
        own: &[(KeyId, VersionId)],
        (reader, key, value): (u32, KeyId, ValueId),
        by_scan: bool,
    ) -> Option<VersionRead> {
        let kind =
            if by_scan { DependencyKind::PredicateWriteRead } else { DependencyKind::WriteRead };
        let mut fault = |kind, other| {
            self.faults.push(ReadFault { kind, reader, key, value, other, expected: None });
            None
        };
        match versions.resolve(history, writes, installed, (reader, key, value)) {
            Resolution::Exact(version) => {
                if let Some(writer) = versions.writer(version) {
                    assert_ne!(writer, reader, "a read of an own write is no observation");
                    self.graph.edge(writer, reader, kind, Some(key));
                }
                let place = own.binary_search_by_key(&key, |&(key, _)| key);
                let own = place.ok().map(|place| own[place].1);
                Some(VersionRead { version, reader, by_scan, key, own })
            }
            // The reader saw this version or an older one: it comes before the writer of the next one in either case.
            Resolution::AtMost(version) => {
                Some(VersionRead { version, reader, by_scan, key, own: None })
            }
            Resolution::Open => None,
            Resolution::Intermediate(writer) => fault(AnomalyKind::G1b, Some(writer)),
            Resolution::Aborted(writer) => fault(AnomalyKind::G1a, Some(writer)),
            Resolution::OwnFuture => fault(AnomalyKind::Internal, None),
            Resolution::Unwritten => fault(AnomalyKind::UnwrittenRead, None),
        }
    }

    /// rw: each reader of a version comes before the writers of the next one.
    fn add_anti_dependencies(&mut self, tables: Tables<'_>, readers: &[VersionRead]) {
        let versions = tables.versions;
        let Some(&VersionRead { version, key, .. }) = readers.first() else { return };
        let mut next = Vec::new();
        versions.each_successor(key, version, &mut |successor| next.push(successor));
        match next[..] {
            [] => {}
            [next] => self.before_one(tables, readers, next),
            _ => self.before_many(tables, readers, &next),
        }
    }

    /// The readers of a version with one known successor.
    fn before_one(
        &mut self,
        Tables { versions, .. }: Tables<'_>,
        readers: &[VersionRead],
        next: VersionId,
    ) {
        let Some(writer) = versions.writer(next) else { return };
        for read in readers.iter().filter(|read| read.reader != writer) {
            let anti = read.anti_dependency(writer);
            self.graph.edge(anti.from, anti.to, anti.kind, anti.key);
            // The reader updated the version that it read, and another update came in between.
            if versions.is_ordered(read.key) && read.own.is_some_and(|own| own > next) {
                let kind = DependencyKind::WriteWrite;
                let overwrite = CycleEdge::new(writer, read.reader, kind, Some(read.key));
                self.lost_updates.push([anti, overwrite]);
            }
        }
    }

    /// The readers of a version with several successors, whose order is not known. Those that updated the version come before
    /// each other, which is a lost update whatever the order is.
    fn before_many(
        &mut self,
        Tables { versions, .. }: Tables<'_>,
        readers: &[VersionRead],
        next: &[VersionId],
    ) {
        assert!(next.is_sorted(), "successors are sorted");
        let updates =
            |read: &&VersionRead| read.own.is_some_and(|own| next.binary_search(&own).is_ok());
        let updaters: Vec<&VersionRead> = readers.iter().filter(updates).collect();
        let is_updater = |transaction: u32| {
            updaters.binary_search_by_key(&transaction, |read| read.reader).is_ok()
        };
        let blind = next.iter().filter_map(|&version| versions.writer(version));
        let blind: Vec<u32> = blind.filter(|&writer| !is_updater(writer)).collect();
        let others = readers.iter().filter(|read| !is_updater(read.reader));
        self.join(&readers.iter().collect::<Vec<_>>(), &blind);
        let updating: Vec<u32> = updaters.iter().map(|read| read.reader).collect();
        self.join(&others.collect::<Vec<_>>(), &updating);
        for pair in updaters.windows(2) {
            let there = pair[0].anti_dependency(pair[1].reader);
            let back = pair[1].anti_dependency(pair[0].reader);
            for edge in [there, back] {
                self.graph.edge(edge.from, edge.to, edge.kind, edge.key);
            }
            self.lost_updates.push([there, back]);
        }
    }

    /// Each of `readers` comes before each of `writers`. The two have no transaction in common.
    fn join(&mut self, readers: &[&VersionRead], writers: &[u32]) {
        if readers.is_empty() || writers.is_empty() {
            return;
        }
        let middle = self.graph.auxiliary_nodes(1);
        let key = Some(readers[0].key);
        for read in readers {
            let anti = read.anti_dependency(middle);
            self.graph.edge(anti.from, anti.to, anti.kind, anti.key);
        }
        for &writer in writers {
            self.graph.edge(middle, writer, DependencyKind::ReadWrite, key);
        }
    }
}

impl VersionRead {
    /// The edge from the reader to `writer`.
    fn anti_dependency(&self, writer: u32) -> CycleEdge {
        let kind = if self.by_scan {
            DependencyKind::PredicateReadWrite
        } else {
            DependencyKind::ReadWrite
        };
        CycleEdge::new(self.reader, writer, kind, Some(self.key))
    }
}

/// The versions that `transaction` wrote, by key.
fn own_versions(
    Tables { history, writes, versions, .. }: Tables<'_>,
    transaction: u32,
) -> Vec<(KeyId, VersionId)> {
    let mut own = Vec::new();
    for operation in history.operations_of(transaction as usize) {
        let (RecordedOperation::Write { key, value } | RecordedOperation::Append { key, value }) =
            *operation
        else {
            continue;
        };
        let is_own = |write: &usize| writes.all()[*write].transaction == transaction;
        let mut own_writes = writes.range_of(key, value).filter(is_own);
        let version = own_writes.find_map(|write| versions.version_of(write));
        own.extend(version.map(|version| (key, version)));
    }
    own.sort_unstable();
    own.dedup();
    own
}
