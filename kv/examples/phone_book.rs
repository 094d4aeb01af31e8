//! The whole contract in one page: writes, reads, batches, scans.

use kv::memory::MemoryEngine;
use kv::{Durability, KeyRange, Kv, WriteBatch};

#[expect(clippy::print_stdout, reason = "an example talks to its reader")]
fn main() -> kv::Result<()> {
    let book = MemoryEngine::new();
    book.put(b"ada", b"1815", Durability::Buffered)?;
    let mut batch = WriteBatch::new();
    batch.put(b"grace", b"1906").put(b"edsger", b"1930").delete(b"ada");
    book.write(&batch, Durability::Buffered)?;
    let mut cursor = book.scan(KeyRange::all())?;
    while cursor.next()? {
        let (name, born) = cursor.entry()?;
        println!("{}: {}", name.escape_ascii(), born.escape_ascii());
    }
    book.close()
}
