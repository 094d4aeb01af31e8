//! Merging cursors against the model, over tables and over lists.

use std::ops::Bound;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use durable::{Entropy, SeededEntropy};
use kv::{Cursor, Error, Result};
use sstable::{KeyLayout, MergingCursor, ReadOptions, Table};

use crate::fixture::{Fixture, Model, SHAPES, entries, key, read_options, small, sought};
use crate::model::{ModelBounds, ModelCursor, as_keys, is_inverted, random_bounds, walk};

const ALL: ModelBounds = (Bound::Unbounded, Bound::Unbounded);

/// Spreads `model` over `count` sources. Some entries are in several of them, with a value for each; the model then has
/// the value of the first one.
fn spread(model: &mut Model, count: usize, random: &SeededEntropy) -> Vec<Model> {
    let mut sources = vec![Model::new(); count];
    for (key, value) in model {
        let first = random.next_u64() as usize % count;
        sources[first].insert(key.clone(), value.clone());
        for (rank, source) in sources.iter_mut().enumerate().skip(first + 1) {
            if random.next_u64().is_multiple_of(4) {
                source.insert(key.clone(), format!("hidden by {first} in {rank}").into_bytes());
            }
        }
    }
    sources
}

fn scan(table: &Arc<Table>, bounds: &ModelBounds) -> Box<dyn Cursor> {
    let (start, end) = as_keys(bounds);
    let bounds = (start.as_ref().map(Vec::as_slice), end.as_ref().map(Vec::as_slice));
    Box::new(table.scan(bounds).expect("the bounds are in order"))
}

/// Bounds that are in order.
fn any_bounds(keys: &[(Vec<u8>, Vec<u8>)], random: &SeededEntropy) -> ModelBounds {
    std::iter::repeat_with(|| random_bounds(keys, random))
        .find(|bounds| !is_inverted(bounds))
        .expect("half of all bounds are in order")
}

/// Walks at random over `count` sources that together hold entries of the given shape.
fn random_walks(layout: KeyLayout, shape: usize, count: usize, random: &SeededEntropy) {
    let options = sstable::BuildOptions { key_layout: layout, ..small() };
    let mut model = entries(shape, 150, layout);
    let fixtures: Vec<Fixture> = spread(&mut model, count, random)
        .into_iter()
        .map(|source| Fixture::new(source, options))
        .collect();
    let keys = sought(&model, layout);
    for bounds in [ALL, any_bounds(&keys, random), any_bounds(&keys, random)] {
        let read = read_options();
        let sources = fixtures.iter().enumerate().map(|(rank, fixture)| match rank % 3 {
            0 => Box::new(ModelCursor::over(&fixture.model, &bounds)),
            _ => scan(&fixture.open(&read[rank % read.len()]), &bounds),
        });
        let mut merging = MergingCursor::new(layout, sources.collect());
        walk(&mut merging, &mut ModelCursor::over(&model, &bounds), &keys, random, 300);
    }
}

#[test]
fn random_walks_show_each_key_once_from_the_first_source_that_has_it() {
    let random = SeededEntropy::new(9);
    for suffix_len in [0, 1, 8] {
        for shape in 0..SHAPES {
            for count in [1, 2, 3, 8, 21] {
                random_walks(KeyLayout::with_suffix(suffix_len), shape, count, &random);
            }
        }
    }
}

/// Keys that share more and more and then less again, are beginnings of each other, and are full of the least and the
/// largest byte.
fn awkward_keys(layout: KeyLayout, random: &SeededEntropy) -> Model {
    let part = || match random.next_u64() % 5 {
        0 => vec![0; (random.next_u64() % 10) as usize],
        1 => vec![0xff; (random.next_u64() % 10) as usize],
        2 => b"a/long/part/of/a/path/".to_vec(),
        3 => format!("{:03}", random.next_u64() % 40).into_bytes(),
        _ => vec![(random.next_u64() % 3) as u8; 1],
    };
    let entry = |at: u64| {
        let stem = (0..=random.next_u64() % 4).flat_map(|_| part()).collect();
        let suffix = (at % 3).to_be_bytes()[8 - layout.suffix_len()..].to_vec();
        ((stem, suffix), at.to_be_bytes().to_vec())
    };
    (0..2_000).map(entry).collect()
}

#[test]
fn whole_walks_show_every_key_once_however_much_the_keys_share() {
    let random = SeededEntropy::new(8);
    for suffix_len in [0, 8] {
        let layout = KeyLayout::with_suffix(suffix_len);
        let shapes = (0..SHAPES).map(|shape| entries(shape, 2_000, layout));
        for mut model in shapes.chain([awkward_keys(layout, &random)]) {
            let sources = spread(&mut model, 5, &random);
            let lists = sources.iter().map(|source| ModelCursor::over(source, &ALL));
            let mut cursor = MergingCursor::new(layout, lists.collect());
            for (expected, value) in &model {
                assert!(cursor.next().unwrap());
                assert_eq!(cursor.entry().unwrap(), (&key(expected)[..], &value[..]));
            }
            assert!(!cursor.next().unwrap());
            for (expected, value) in model.iter().rev() {
                assert!(cursor.prev().unwrap());
                assert_eq!(cursor.entry().unwrap(), (&key(expected)[..], &value[..]));
            }
            assert!(!cursor.prev().unwrap());
        }
    }
}

#[test]
fn a_walk_turns_around_on_every_entry() {
    let mut model = entries(0, 60, KeyLayout::PLAIN);
    let sources = spread(&mut model, 5, &SeededEntropy::new(4));
    let merge = || {
        let lists = sources.iter().map(|source| ModelCursor::over(source, &ALL));
        MergingCursor::new(KeyLayout::PLAIN, lists.collect())
    };
    let keys: Vec<Vec<u8>> = model.keys().map(key).collect();
    for turn in 0..keys.len() {
        let mut cursor = merge();
        for expected in &keys[..=turn] {
            assert!(cursor.next().unwrap() && cursor.key() == expected);
        }
        for expected in keys[..turn].iter().rev() {
            assert!(cursor.prev().unwrap() && cursor.key() == expected);
        }
        assert!(!cursor.prev().unwrap() && !cursor.prev().unwrap());
        for expected in &keys {
            assert!(cursor.next().unwrap() && cursor.key() == expected);
        }
        assert!(!cursor.next().unwrap() && cursor.prev().unwrap());
        assert_eq!(Some(cursor.key()), keys.last().map(Vec::as_slice));
    }
}

#[test]
fn without_sources_or_entries_a_walk_finds_nothing() {
    for count in [0, 1, 4] {
        let lists = (0..count).map(|_| ModelCursor::over(&Model::new(), &ALL)).collect();
        let mut cursor = MergingCursor::new(KeyLayout::PLAIN, lists);
        assert!(!cursor.next().unwrap() && !cursor.prev().unwrap());
        assert!(!cursor.seek_ge(b"").unwrap() && !cursor.seek_lt(b"x").unwrap());
    }
}

/// A cursor that counts its moves and the reads of its keys, and fails in the move with a given number.
struct Watched<C> {
    cursor: C,
    moves: Arc<AtomicUsize>,
    keys_read: Arc<AtomicUsize>,
    fails_at: Option<usize>,
}

impl<C> Watched<C> {
    fn moving(&mut self, walk: impl FnOnce(&mut C) -> Result<bool>) -> Result<bool> {
        let number = self.moves.fetch_add(1, Ordering::Relaxed);
        if self.fails_at == Some(number) {
            return Err(Error::corruption("source", 7, "a planted failure"));
        }
        walk(&mut self.cursor)
    }
}

impl<C: Cursor> Cursor for Watched<C> {
    fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
        self.moving(|cursor| cursor.seek_ge(key))
    }

    fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
        self.moving(|cursor| cursor.seek_lt(key))
    }

    fn next(&mut self) -> Result<bool> {
        self.moving(C::next)
    }

    fn prev(&mut self) -> Result<bool> {
        self.moving(C::prev)
    }

    fn key(&self) -> &[u8] {
        self.keys_read.fetch_add(1, Ordering::Relaxed);
        self.cursor.key()
    }

    fn entry(&mut self) -> Result<(&[u8], &[u8])> {
        self.cursor.entry()
    }
}

/// Sources whose moves are counted together. The move with number `fails_at` fails.
fn watched(
    sources: &[Model],
    fails_at: Option<usize>,
) -> (MergingCursor<Watched<ModelCursor>>, Arc<AtomicUsize>) {
    let (cursor, moves, _) = watched_keys(sources, fails_at);
    (cursor, moves)
}

/// The same, with the number of times that the key of a source was read.
fn watched_keys(
    sources: &[Model],
    fails_at: Option<usize>,
) -> (MergingCursor<Watched<ModelCursor>>, Arc<AtomicUsize>, Arc<AtomicUsize>) {
    let (moves, keys_read) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let watch = |source| {
        let cursor = ModelCursor::over(source, &ALL);
        let (moves, keys_read) = (Arc::clone(&moves), Arc::clone(&keys_read));
        Watched { cursor, moves, keys_read, fails_at }
    };
    let watched = sources.iter().map(watch).collect();
    (MergingCursor::new(KeyLayout::PLAIN, watched), moves, keys_read)
}

#[test]
fn the_first_entry_of_a_thousand_sources_takes_a_thousand_seeks() {
    let mut model = entries(0, 5_000, KeyLayout::PLAIN);
    let sources: Vec<Model> = {
        let mut sources = vec![Model::new(); 1_000];
        for (at, (key, value)) in model.clone().into_iter().enumerate() {
            sources[at * 7 % 1_000].insert(key, value);
        }
        sources
    };
    let (mut cursor, moves) = watched(&sources, None);
    let middle = key(model.keys().nth(2_500).unwrap());
    assert!(cursor.seek_ge(&middle).unwrap() && cursor.key() == middle);
    assert_eq!(moves.swap(0, Ordering::Relaxed), 1_000);
    assert!(cursor.next().unwrap());
    assert_eq!(moves.swap(0, Ordering::Relaxed), 1, "a step moves one source");
    assert!(cursor.prev().unwrap() && cursor.key() == middle);
    assert_eq!(moves.swap(0, Ordering::Relaxed), 1_000, "a turn moves all sources");
    while cursor.prev().unwrap() {
        model.remove(&(cursor.key().to_vec(), Vec::new()));
    }
    assert_eq!(model.len(), 2_500, "the walk has shown the first half");
    assert_eq!(moves.load(Ordering::Relaxed), 2_501, "a move for each entry, and one at the end");
}

#[test]
fn a_step_of_a_merge_reads_the_key_of_the_source_that_moved_and_few_others() {
    let random = SeededEntropy::new(12);
    // Hashed keys, zero-padded ones, and long prefixes that change now and then.
    for shape in [0, 2, 3] {
        let model = entries(shape, 5_000, KeyLayout::PLAIN);
        let mut sources = vec![Model::new(); 8];
        for (key, value) in &model {
            sources[random.next_u64() as usize % 8].insert(key.clone(), value.clone());
        }
        let (mut cursor, _, keys_read) = watched_keys(&sources, None);
        while cursor.next().unwrap() {}
        let forward = keys_read.swap(0, Ordering::Relaxed);
        while cursor.prev().unwrap() {}
        let backward = keys_read.load(Ordering::Relaxed);
        // One comparison of keys would read two of them, and a step plays three matches.
        for read in [forward, backward] {
            assert!(read < 2 * model.len(), "shape {shape}: {read} keys in {} steps", model.len());
        }
    }
}

#[test]
fn a_failing_source_ends_the_walk_with_its_error_whatever_the_move() {
    let mut model = entries(0, 40, KeyLayout::PLAIN);
    let sources = spread(&mut model, 4, &SeededEntropy::new(5));
    let keys: Vec<Vec<u8>> = model.keys().map(key).collect();
    let (mut whole, moves) = watched(&sources, None);
    while whole.next().unwrap() {}
    while whole.prev().unwrap() {}
    for fails_at in 0..moves.load(Ordering::Relaxed) {
        let (mut cursor, _) = watched(&sources, Some(fails_at));
        let mut seen = Vec::new();
        let failure = loop {
            match cursor.next().and_then(|moved| if moved { Ok(true) } else { cursor.prev() }) {
                Ok(true) if seen.len() < keys.len() => seen.push(cursor.key().to_vec()),
                Ok(true) => while cursor.prev().is_ok() {},
                Ok(false) => panic!("the walk ends at the failure"),
                Err(error) => break error,
            }
        };
        assert_eq!(seen, keys[..seen.len()], "an entry before the failure is right");
        for again in [
            cursor.next(),
            cursor.prev(),
            cursor.seek_ge(b"a"),
            cursor.seek_lt(b"a"),
            cursor.next(),
        ] {
            assert_eq!(again.unwrap_err().to_string(), failure.to_string());
        }
    }
}

#[test]
fn a_value_that_cannot_be_read_ends_no_walk() {
    // The cursor of a table never fails there, so the source is another one.
    struct NoValues(ModelCursor);
    impl Cursor for NoValues {
        fn seek_ge(&mut self, key: &[u8]) -> Result<bool> {
            self.0.seek_ge(key)
        }
        fn seek_lt(&mut self, key: &[u8]) -> Result<bool> {
            self.0.seek_lt(key)
        }
        fn next(&mut self) -> Result<bool> {
            self.0.next()
        }
        fn prev(&mut self) -> Result<bool> {
            self.0.prev()
        }
        fn key(&self) -> &[u8] {
            self.0.key()
        }
        fn entry(&mut self) -> Result<(&[u8], &[u8])> {
            Err(Error::Closed)
        }
    }
    let model = entries(0, 20, KeyLayout::PLAIN);
    let sources = vec![NoValues(ModelCursor::over(&model, &ALL))];
    let mut cursor = MergingCursor::new(KeyLayout::PLAIN, sources);
    let mut seen = 0;
    while cursor.next().unwrap() {
        assert!(matches!(cursor.entry(), Err(Error::Closed)));
        seen += 1;
    }
    assert_eq!(seen, model.len());
}

#[test]
fn sources_out_of_order_end_without_a_panic() {
    let random = SeededEntropy::new(6);
    for _ in 0..200 {
        let sources = (0..5).map(|_| {
            let list = (0..random.next_u64() % 12).map(|_| {
                let number = random.next_u64() % 8;
                ((vec![number as u8], Vec::new()), Vec::new())
            });
            ModelCursor::of(list.collect())
        });
        let mut cursor = MergingCursor::new(KeyLayout::PLAIN, sources.collect::<Vec<_>>());
        let mut steps = 0;
        for turn in 0..6 {
            while (steps + turn) % 9 != 8
                && if turn % 2 == 0 { cursor.next() } else { cursor.prev() }.unwrap()
            {
                steps += 1;
                assert!(steps < 1_000 && cursor.key().len() == 1);
            }
        }
    }
}

#[test]
fn a_key_without_a_suffix_is_an_invalid_argument_and_ends_no_walk() {
    let layout = KeyLayout::with_suffix(8);
    let model = entries(0, 20, layout);
    let fixture = Fixture::new(model, sstable::BuildOptions { key_layout: layout, ..small() });
    let table = fixture.open(&ReadOptions::default());
    let mut cursor = MergingCursor::new(layout, vec![scan(&table, &ALL)]);
    assert!(matches!(cursor.seek_ge(b"short"), Err(Error::InvalidArgument(_))));
    assert!(matches!(cursor.seek_lt(b"short"), Err(Error::InvalidArgument(_))));
    assert!(cursor.next().unwrap() && cursor.source() == 0);
}
