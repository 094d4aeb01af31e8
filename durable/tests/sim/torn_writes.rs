//! Which parts of the last writes a crash leaves: pages, sectors and odd bytes.

use std::collections::BTreeSet;

use durable::{Fs, MetadataModel, SimFs, SyncFailure, Variant};

use crate::crash_images::{at_end, disk_with, last_point, outcomes, path, there};

#[test]
fn later_sectors_of_a_page_may_be_there_without_earlier_ones() {
    let fs = disk_with("a", &[0; 3 * 4096]);
    fs.open_writable(path("a")).unwrap().write_at(100, &[1; 2 * 4096]).unwrap();
    let variants = last_point(&fs).variants(MetadataModel::Strict, 0);
    let heads: Vec<usize> = variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::TearHead(len) => Some(*len),
            _ => None,
        })
        .collect();
    // Sectors of the first page. The only boundary in the last page is its beginning: `keep:2` says the same.
    let expected: Vec<usize> = (1..8).map(|sector| sector * 512 - 100).collect();
    assert_eq!(heads, expected);
    let bytes = at_end(&fs, "tear-head:412").contents(path("a")).unwrap();
    assert_eq!(bytes[..512], [0; 512], "the first sector is the old one");
    assert_eq!(bytes[512..100 + 2 * 4096], [1; 100 + 2 * 4096 - 512]);
    let fs = disk_with("a", b"");
    fs.open_writable(path("a")).unwrap().write_at(0, &[1; 1000]).unwrap();
    let bytes = at_end(&fs, "tear-head:512").contents(path("a")).unwrap();
    assert_eq!(bytes, [[0; 512].as_slice(), &[1; 488]].concat(), "a file grows to its end");
}

#[test]
fn the_last_sectors_of_a_long_write_may_be_all_of_it_that_is_there() {
    let fs = disk_with("a", &[0; 3 * 4096]);
    fs.open_writable(path("a")).unwrap().write_at(0, &[1; 3 * 4096 - 100]).unwrap();
    let bytes = at_end(&fs, "tear-head:8704").contents(path("a")).unwrap();
    assert_eq!(bytes.iter().position(|byte| *byte == 1), Some(8704));
    assert_eq!(bytes[8704..3 * 4096 - 100], [1; 3 * 4096 - 100 - 8704]);
}

#[test]
fn bytes_that_a_failed_sync_lost_are_in_no_later_image() {
    for mode in [SyncFailure::KeepsNew, SyncFailure::KeepsPart] {
        let fs = disk_with("a", &[0; 3 * 4096]);
        fs.set_sync_failure(mode);
        let file = fs.open_writable(path("a")).unwrap();
        file.write_at(0, &[1; 2 * 4096]).unwrap();
        fs.fail_sync(path("a"));
        file.write_at(2 * 4096, &[1; 4096]).unwrap();
        let bytes = at_end(&fs, "data-only").contents(path("a")).unwrap();
        let pages: Vec<u8> = bytes.chunks(4096).map(|page| page[0]).collect();
        assert_eq!(pages, [u8::from(mode == SyncFailure::KeepsPart), 0, 1], "{mode:?}");
    }
}

#[test]
fn no_variant_of_an_honest_disk_touches_durable_bytes_of_a_torn_sector_and_garbling_does() {
    let fs = disk_with("a", &[7; 700]);
    fs.open_writable(path("a")).unwrap().write_at(700, &[1; 600]).unwrap();
    let sweep = last_point(&fs);
    for variant in sweep.all_variants(100) {
        let bytes = sweep.image(&variant).contents(path("a")).unwrap();
        assert_eq!(bytes[..700], [7; 700], "{variant}");
    }
    let bytes = at_end(&fs, "garble:10").contents(path("a")).unwrap();
    assert_eq!(bytes.len(), 710);
    assert_eq!(bytes[..512], [7; 512], "other sectors are safe");
    assert_ne!(bytes[512..700], [7; 188]);
}

#[test]
fn a_tear_is_offered_at_every_sector_boundary_of_the_file_and_at_odd_bytes() {
    let fs = disk_with("a", &[0; 100]);
    fs.open_writable(path("a")).unwrap().write_at(100, &[1; 5000]).unwrap();
    let variants = last_point(&fs).variants(MetadataModel::Strict, 0);
    let tears: Vec<usize> = variants
        .iter()
        .filter_map(|variant| match variant {
            Variant::Tear(len) => Some(*len),
            _ => None,
        })
        .collect();
    let mut expected = vec![1];
    expected.extend((1..8).map(|sector| sector * 512 - 100));
    // Half of the write, and where the first page ends only if no other variant says that already.
    expected.extend([2501, 4608 - 100, 4999]);
    expected.sort_unstable();
    assert_eq!(tears, expected);
    for len in tears {
        let bytes = at_end(&fs, &format!("tear:{len}")).contents(path("a")).unwrap();
        assert_eq!(bytes.iter().map(|byte| usize::from(*byte)).sum::<usize>(), len);
    }
}

#[test]
fn any_subset_of_the_pages_of_an_append_may_survive() {
    let fs = SimFs::new();
    let log = fs.create_log(path("log"), 3 * 4096).unwrap();
    log.sync().unwrap();
    fs.sync_dir(path("")).unwrap();
    log.append(0, &[1; 100]).unwrap();
    log.append(100, &[2; 3 * 4096 - 100]).unwrap();
    let sweep = last_point(&fs);
    let mut seen = BTreeSet::new();
    for variant in sweep.variants(MetadataModel::Strict, 300) {
        let bytes = sweep.image(&variant).contents(path("log")).unwrap();
        seen.insert([bytes[0], bytes[4095], bytes[4096], bytes[8191], bytes[8192], bytes[12287]]);
    }
    let whole = |first, a, b, c| [first, a, b, b, c, c];
    for bits in 0..16 {
        let value = |bit: u8, value: u8| if bits & (1 << bit) > 0 { value } else { 0 };
        let pages = whole(value(0, 1), value(1, 2), value(2, 2), value(3, 2));
        assert!(seen.contains(&pages), "{pages:?} of {seen:?}");
    }
    assert!(seen.iter().any(|[.., start, end]| start != end), "a page can be torn");
}

#[test]
fn a_file_that_grew_without_its_bytes_holds_zeros_or_stale_ones() {
    let fs = disk_with("a", b"");
    let file = fs.open_writable(path("a")).unwrap();
    file.write_at(0, &[7; 16]).unwrap();
    let seen = outcomes(&fs, MetadataModel::Strict, "a");
    assert!(seen.contains(&there(&[0; 16])));
    let is_stale = |bytes: &Vec<u8>| bytes.len() == 16 && bytes.iter().any(|b| ![0, 7].contains(b));
    assert!(seen.iter().flatten().any(is_stale));
}
