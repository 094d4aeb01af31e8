//! What the witness of a segment costs: synced appends to a log with a witness and to one without, in random turns.
//!
//! ```sh
//! cargo run --release -p durable --example witness -- <directory> [appends]
//! ```
#![expect(clippy::print_stdout, reason = "an example talks to its reader")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use durable::log::{Frame, GroupSync, Segment, SegmentIdentity, SegmentLayout, StoreId, Writer};
use durable::{Entropy as _, Fs, OsFs, SystemEntropy};

/// Bytes of an append, frame header apart.
const PAYLOAD: [u8; 112] = [7; 112];

struct Log {
    writer: Writer,
    sync: Arc<GroupSync>,
    took: Vec<Duration>,
}

impl Log {
    fn begin(fs: &dyn Fs, dir: &Path, layout: SegmentLayout) -> kv::Result<Self> {
        let path = dir.join(format!("{layout:?}"));
        fs.remove(&path).ok();
        let identity = SegmentIdentity { store: StoreId([7; 16]), id: 0, epoch: 1, edit_number: 0 };
        let file = Segment::create_file(fs, &path, 64 << 20, layout, identity)?;
        let sync = Arc::new(GroupSync::new());
        let mut writer = Writer::new(Arc::clone(&sync));
        writer.begin(Segment::begin(fs, file)?);
        Ok(Self { writer, sync, took: Vec::new() })
    }

    #[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
    fn append(&mut self, sequence: u64) -> kv::Result<()> {
        let start = Instant::now();
        let frame = Frame { kind: 1, payload: [&PAYLOAD, &[], &[]] };
        let span = self.writer.append(sequence, std::iter::once(frame))?;
        self.sync.sync_to(span.end())?;
        self.took.push(start.elapsed());
        Ok(())
    }

    /// The quartiles, and the mean without the slowest and the fastest eighth.
    fn summary(&mut self) -> ([Duration; 3], Duration) {
        self.took.sort_unstable();
        let n = self.took.len();
        let middle = &self.took[n / 8..n - n / 8];
        let mean = middle.iter().sum::<Duration>() / middle.len() as u32;
        ([n / 4, n / 2, n * 3 / 4].map(|at| self.took[at]), mean)
    }
}

fn main() -> kv::Result<()> {
    let mut args = std::env::args().skip(1);
    let dir = args.next().unwrap_or_else(|| ".".into());
    let appends = args.next().and_then(|count| count.parse().ok()).unwrap_or(4_000);
    let (fs, entropy) = (OsFs::default(), SystemEntropy);
    let dir = fs.resolve(Path::new(&dir))?;
    let mut plain = Log::begin(&fs, &dir, SegmentLayout::Plain)?;
    let mut witnessed = Log::begin(&fs, &dir, SegmentLayout::Witnessed)?;
    for sequence in 1..=appends {
        if entropy.next_u64() & 1 == 0 {
            plain.append(sequence)?;
            witnessed.append(sequence)?;
        } else {
            witnessed.append(sequence)?;
            plain.append(sequence)?;
        }
    }
    let ((plain_quartiles, plain), (quartiles, witnessed)) = (plain.summary(), witnessed.summary());
    println!("plain     {plain_quartiles:?} mean {plain:?}");
    println!("witnessed {quartiles:?} mean {witnessed:?}");
    println!("ratio     {:.4}", witnessed.as_secs_f64() / plain.as_secs_f64());
    Ok(())
}
