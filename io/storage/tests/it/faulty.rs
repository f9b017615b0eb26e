//! The disk that the other tests rely on: it loses what it may, keeps what it must, and does the same twice.

use std::io::{ErrorKind, IoSlice};
use std::path::Path;
use std::sync::Arc;

use ottla_storage::disk::{Disk, DiskFile, FaultyDisk, Odds, Open, Operation, Wait, read_file, replace_file};

fn path(text: &str) -> &Path {
    Path::new(text)
}

fn create(disk: &FaultyDisk, at: &str) -> Arc<dyn DiskFile> {
    disk.open(path(at), Open::Create).unwrap()
}

fn write(file: &dyn DiskFile, bytes: &[u8], position: u64) -> std::io::Result<usize> {
    file.write_vectored_at(&[IoSlice::new(bytes)], position)
}

type Files = Vec<(String, Vec<u8>)>;

/// What is left of two files of which one was synced: their names and bytes.
fn after_power_loss(seed: u64) -> Files {
    let disk = FaultyDisk::new(seed);
    let kept = create(&disk, "/kept");
    write(&*kept, &[1; 10_000], 0).unwrap();
    kept.sync_data().unwrap();
    disk.sync_dir(path("/")).unwrap();
    write(&*kept, &[2; 5000], 10_000).unwrap();
    write(&*create(&disk, "/new"), &[3; 5000], 0).unwrap();
    disk.rename(path("/new"), path("/newer")).unwrap();
    disk.power_loss();
    assert!(kept.size().is_err(), "a handle of before");
    let names = disk.list(path("/")).unwrap().into_iter().map(|entry| entry.name);
    names.map(|name| (name.clone(), read_file(&disk, &path("/").join(name)).unwrap())).collect()
}

#[test]
fn a_power_loss_takes_what_was_not_synced() {
    let outcomes: Vec<_> = (0..200).map(after_power_loss).collect();
    for files in &outcomes {
        let (name, bytes) = &files[0];
        assert_eq!(name, "kept");
        assert!(bytes.len() >= 10_000 && bytes[..10_000].iter().all(|&byte| byte == 1));
        assert!(bytes[10_000..].iter().all(|&byte| byte == 2 || byte == 0));
        assert!(files.len() <= 2, "a rename is whole");
    }
    let some = |holds: fn(&Files) -> bool| assert!(outcomes.iter().any(holds));
    some(|files| files.len() == 1);
    some(|files| files.get(1).is_some_and(|(name, _)| name == "new"));
    some(|files| files.get(1).is_some_and(|(name, _)| name == "newer"));
    some(|files| files[0].1.len() == 10_000);
    some(|files| files[0].1 == [vec![1; 10_000], vec![2; 5000]].concat());
    some(|files| files[0].1.len() == 15_000 && files[0].1[10_000..].contains(&0) && files[0].1.ends_with(&[2]));
    assert_eq!(outcomes, (0..200).map(after_power_loss).collect::<Vec<_>>(), "one seed, one fate");
}

#[test]
fn a_killed_process_loses_its_locks_and_nothing_else() {
    let disk = FaultyDisk::new(1);
    let lock = disk.lock(path("/lock")).unwrap();
    assert!(disk.lock(path("/lock")).is_err());
    write(&*create(&disk, "/file"), b"written", 0).unwrap();
    disk.kill();
    let again = disk.lock(path("/lock")).unwrap();
    drop(lock);
    assert!(disk.lock(path("/lock")).is_err(), "the old lock is not the new one");
    drop(again);
    assert_eq!(read_file(&disk, path("/file")).unwrap(), b"written");
}

#[test]
fn a_replaced_file_is_old_or_new() {
    let mut seen = [false; 2];
    for (seed, stop) in (0..100).flat_map(|seed| (1..7).map(move |stop| (seed, stop))) {
        let disk = FaultyDisk::new(seed);
        replace_file(&disk, path("/file"), &[1; 5000]).unwrap();
        disk.stop_at(disk.operations() + stop);
        let replaced = replace_file(&disk, path("/file"), &[2; 6000]);
        disk.power_loss();
        let bytes = read_file(&disk, path("/file")).unwrap();
        let is_new = bytes == [2; 6000];
        assert!(is_new || (replaced.is_err() && bytes == [1; 5000]));
        seen[usize::from(is_new)] = true;
    }
    assert_eq!(seen, [true; 2]);
}

#[test]
fn operations_fail_as_they_are_told() {
    let disk = FaultyDisk::new(1);
    let file = create(&disk, "/file");
    disk.fail_next(Operation::Read, "fil", ErrorKind::Other);
    assert!(file.read_at(&mut [0], 0, Wait::Yes).is_err());
    assert!(file.read_at(&mut [0], 0, Wait::Yes).is_ok());
    disk.set_capacity(Some(10));
    assert_eq!(write(&*file, &[1; 15], 0).unwrap(), 10);
    assert_eq!(write(&*file, &[1; 5], 10).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(disk.free_bytes(path("/")).unwrap(), 0);
    assert_eq!(write(&*file, &[2; 5], 0).unwrap(), 5);
    disk.draw_errors(Odds { short_writes_per_mille: 1000, cold_reads_per_mille: 1000, ..Odds::default() });
    assert!((1..5).contains(&write(&*file, &[3; 5], 0).unwrap()));
    assert_eq!(file.read_at(&mut [0], 0, Wait::No).unwrap_err().kind(), ErrorKind::WouldBlock);
    disk.draw_errors(Odds { errors_per_mille: 1000, ..Odds::default() });
    assert!(write(&*file, &[4], 0).is_err());
    disk.draw_errors(Odds::default());
    disk.stop_at(disk.operations() + 2);
    assert!(file.sync_data().is_ok());
    let _ = write(&*file, &[5], 0);
    assert!(disk.has_stopped());
    assert!(file.size().is_err() && disk.list(path("/")).is_err());
}
