//! Publication: a crash leaves all of the old file or all of the new one.

use std::io;
use std::path::Path;
use std::sync::Arc;

use durable::log::{Segment, SegmentIdentity, SegmentLayout};
use durable::manifest::Manifest;
use durable::publish::{
    create_afresh, publish, publish_in_place, replace_atomically, temporary_paths,
};
use durable::store_dir::{NamePattern, OpenMode, StoreDir};
use durable::{Fs, OsFs, SimFs};

use crate::basics::{ID, add};
use crate::toy::Toy;

const FILE: &str = "/dir/file";

fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.create_dir(Path::new("/dir")).unwrap();
    disk.duplicate()
}

/// Checks that every crash of `disk` leaves one of `contents`, and after operation `published` the last one.
fn assert_atomic(disk: &SimFs, contents: &[Option<&[u8]>], published: usize) {
    let mut sweep = disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(32) {
            let left = sweep.image(&variant).contents(Path::new(FILE));
            let allowed =
                if point >= published { &contents[contents.len() - 1..] } else { contents };
            assert!(allowed.contains(&left.as_deref()), "{point} {variant}: {left:?}");
        }
    }
}

#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one() {
    let (old, new) = ([1; 5000], [2; 9000]);
    let disk = disk();
    replace_atomically(&disk, Path::new(FILE), &old).unwrap();
    assert_atomic(&disk, &[None, Some(&old)], disk.ops());
    let disk = disk.duplicate();
    let published = replace_atomically(&disk, Path::new(FILE), &new).unwrap();
    assert_eq!((published.path(), published.len_bytes()), (Path::new(FILE), 9000));
    assert_atomic(&disk, &[Some(&old), Some(&new)], disk.ops());
    for path in disk.files() {
        assert_eq!(path, Path::new(FILE), "nothing is left over");
    }
}

#[test]
fn what_an_earlier_attempt_left_does_not_end_up_in_the_file() {
    let disk = disk();
    disk.set_contents(Path::new("/dir/file.tmp"), vec![9; 100_000]);
    replace_atomically(&disk, Path::new(FILE), b"new").unwrap();
    assert_atomic(&disk, &[None, Some(b"new")], disk.ops());
}

#[test]
fn a_crash_between_two_attempts_never_mixes_them() {
    let disk = disk();
    replace_atomically(&disk, Path::new(FILE), b"first").unwrap();
    let mut sweep = disk.sweep();
    while let Some(point) = sweep.next_point() {
        for variant in sweep.all_variants(8) {
            let image = sweep.image(&variant);
            let before = image.contents(Path::new(FILE));
            replace_atomically(&image, Path::new(FILE), b"second, longer").unwrap();
            assert_atomic(&image, &[before.as_deref(), Some(b"second, longer")], image.ops());
            assert!(point <= disk.ops());
        }
    }
}

#[test]
fn publishing_makes_bytes_and_name_durable() {
    let disk = disk();
    let file = create_afresh(&disk, Path::new("/dir/file.tmp")).unwrap();
    file.write_at(0, &[3; 6000]).unwrap();
    let published = publish(&disk, &*file, Path::new(FILE)).unwrap();
    assert_eq!((published.path(), published.len_bytes()), (Path::new(FILE), 6000));
    assert_atomic(&disk, &[None, Some(&[3; 6000])], disk.ops());
}

#[test]
fn a_file_published_in_place_is_durable_from_then_on() {
    let disk = disk();
    let file = disk.create(Path::new(FILE)).unwrap();
    file.write_at(0, &[3; 6000]).unwrap();
    publish_in_place(&disk, &*file).unwrap();
    let mut sweep = disk.sweep();
    while sweep.next_point() != Some(disk.ops()) {}
    for variant in sweep.all_variants(8) {
        let left = sweep.image(&variant).contents(Path::new(FILE)).unwrap();
        assert_eq!(left, [3; 6000], "{variant}");
    }
}

#[test]
fn a_segment_is_a_published_file_of_its_durable_length() {
    let disk = disk();
    let identity = SegmentIdentity { store: ID, id: 1, epoch: 1, edit_number: 0 };
    let (path, layout) = (Path::new(FILE), SegmentLayout::Plain);
    let file = Segment::create_file(&disk, path, 4096, layout, identity).unwrap();
    let segment = Segment::begin(&disk, file).unwrap();
    let growing = segment.published();
    assert_eq!((growing.path(), growing.len_bytes()), (Path::new(FILE), 64));
    let sealed = segment.finish().unwrap();
    assert_eq!(sealed.len_bytes(), 64);
    assert_eq!(disk.contents(Path::new(FILE)).unwrap().len(), 64);
}

#[test]
fn links_in_the_way_are_neither_followed_nor_removed() {
    let dir = tempfile::tempdir().unwrap();
    let fs = OsFs::default();
    let target = dir.path().join("target");
    replace_atomically(&fs, &target, b"mine").unwrap();
    let file = dir.path().join("file");
    for temporary in temporary_paths(&file) {
        // The name is taken, so the next one serves.
        replace_atomically(&fs, &file, b"new").unwrap();
        fs.remove(&file).unwrap();
        std::os::unix::fs::symlink(&target, temporary).unwrap();
    }
    let refused = replace_atomically(&fs, &file, b"new").unwrap_err();
    assert_eq!(refused.io_kind(), Some(io::ErrorKind::InvalidInput), "{refused}");
    let link = temporary_paths(&file).next().unwrap();
    assert_eq!(fs.remove(&link).unwrap_err().io_kind(), Some(io::ErrorKind::InvalidInput));
    assert!(link.is_symlink());
    let mut bytes = [0; 4];
    fs.open(&target).unwrap().read_at(0, &mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");
    let missing = fs.open(&file).unwrap_err();
    assert_eq!(missing.io_kind(), Some(io::ErrorKind::NotFound));
}

#[test]
fn a_manifest_lives_on_a_real_disk() {
    let dir = tempfile::tempdir().unwrap();
    let open = || StoreDir::open(Arc::new(OsFs::default()), dir.path(), OpenMode::Write).unwrap();
    let manifest = Manifest::<Toy>::create(&open(), ID).unwrap();
    for file in 0..300 {
        manifest.append(&add(file)).unwrap();
    }
    let state = manifest.state();
    drop(manifest);
    let manifest = Manifest::<Toy>::read(&open()).unwrap().open().unwrap();
    assert_eq!((manifest.state(), manifest.open_epoch()), (state, 2));
    manifest.close().unwrap();
}

#[test]
fn a_proof_names_the_number_of_its_own_file() {
    let disk = disk();
    let names = NamePattern::new("", ".data");
    let path = Path::new("/dir").join(names.name(7));
    let file = disk.create(&path).unwrap();
    let proof = publish_in_place(&disk, &*file).unwrap();
    assert_eq!(proof.number(names), Some(7));
    assert_eq!(proof.number(NamePattern::new("", ".hint")), None);
}
