//! The engine's part of the manifest: its state, its edits, and how both are encoded.

use std::fmt::Debug;

use kv::Result;
use serde_json::Value;

use crate::coding::Reader;
use crate::store_dir::NamePattern;

/// The state of a store, as its manifest keeps it: which files are live, and other facts that must survive a restart.
///
/// The default value is the state of a new store. Decoders for every format that was ever released stay: the manifest
/// passes them the format of the file that it reads, and always writes [`State::FORMAT`]. The manifest
/// keeps two copies of the state in memory and applies each edit to both. So [`State::apply`] depends on nothing but the
/// state and the edit.
pub trait State: Clone + Debug + Default + Send + Sync + 'static {
    /// One atomic change of the state.
    type Edit;

    /// Whose state it is.
    const ENGINE: EngineTag;

    /// The newest format of states and edits, which is the one that is written.
    const FORMAT: u16;

    /// The required features that this code understands; see [`Features::required`].
    const KNOWN_FEATURES: u32 = 0;

    /// How the engine's own files are named. A directory with such a file and without `CURRENT` is damaged, not empty.
    const FILES: &'static [NamePattern];

    /// The features that the state makes use of.
    fn features(&self) -> Features {
        Features::default()
    }

    /// Changes the state.
    ///
    /// # Errors
    /// Why the edit contradicts the state, such as a file added twice. The state may then hold anything.
    fn apply(&mut self, edit: &Self::Edit) -> std::result::Result<(), String>;

    /// Writes the whole state, in [`State::FORMAT`].
    fn encode_state(&self, out: &mut Vec<u8>);

    /// Reads a state of `format`, all of the bytes of `reader`.
    ///
    /// # Errors
    /// `Corruption`.
    fn decode_state(format: u16, reader: &mut Reader<'_>) -> Result<Self>;

    /// Writes an edit, in [`State::FORMAT`].
    fn encode_edit(edit: &Self::Edit, out: &mut Vec<u8>);

    /// Reads an edit of `format`, all of the bytes of `reader`.
    ///
    /// # Errors
    /// `Corruption`.
    fn decode_edit(format: u16, reader: &mut Reader<'_>) -> Result<Self::Edit>;

    /// The state for people to read.
    fn to_json(&self) -> Value;

    /// An edit for people to read.
    fn edit_to_json(edit: &Self::Edit) -> Value;
}

/// Which engine a store belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EngineTag {
    /// On disk. Permanent.
    pub id: u8,
    /// In messages.
    pub name: &'static str,
}

/// Features of the format that a state makes use of, a bit for each. The engine gives each bit its meaning.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Features {
    /// Code that does not know one of these must not open the store.
    pub required: u32,
    /// Code that does not know these may ignore them.
    pub optional: u32,
}
