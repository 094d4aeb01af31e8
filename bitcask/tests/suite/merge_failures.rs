//! Merges that fail after a step that cannot be undone.

use bitcask::Bitcask;
use bitcask::planted::{Action, Hook, Step};
use kv::{Durability, Error, Kv};

use crate::world::{STORE, World, entries, fill};

/// The manifest names the outputs, and the keydir still names the inputs.
#[test]
fn a_merge_that_fails_after_its_edit_poisons_the_store_whatever_the_error() {
    for action in [Action::Fail, Action::FailAsDamaged, Action::FailWithoutSpace] {
        let world = World::new();
        let options = world.options().merge(None).hook(Hook::on(Step::Relocate, action));
        let engine = Bitcask::open(STORE, options).unwrap();
        (0..5).for_each(|round| fill(&engine, 0..20, round));
        let before = entries(&engine);
        engine.merge().unwrap_err();
        let refused = engine.put(b"later", b"1", Durability::Buffered).unwrap_err();
        assert!(matches!(refused, Error::Poisoned { .. }), "{action:?}: {refused}");
        assert_eq!(entries(&engine), before, "{action:?}: reads go on");
        drop(engine);
        let engine = world.open().unwrap();
        assert_eq!(entries(&engine), before, "{action:?}");
        engine.verify().unwrap();
    }
}
