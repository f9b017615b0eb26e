//! Whole reads, whole writes, whole files, on top of what a [`Disk`] does in pieces.

use std::io::{self, ErrorKind, IoSlice};
use std::path::Path;

use super::{Disk, DiskFile, Open, Wait};

/// `IOV_MAX` of Linux.
const SLICES_MAX: usize = 1024;

/// The bytes of a file.
pub fn read_file(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path, Open::Read)?;
    let mut bytes = vec![0; usize::try_from(file.size()?).map_err(io::Error::other)?];
    let read = read_full_at(&*file, &mut bytes, 0, Wait::Yes)?;
    bytes.truncate(read);
    Ok(bytes)
}

/// Writes `<path>.tmp`, syncs it, renames it over `path` and syncs the directory: after a power loss the file has its
/// old content or the new one.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = path.file_name().and_then(|name| name.to_str()).ok_or(ErrorKind::InvalidInput)?;
    let dir = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let draft = dir.join(format!("{name}.tmp"));
    let file = disk.open(&draft, Open::Create)?;
    file.set_size(0)?;
    write_all_at(&*file, bytes, 0)?;
    file.sync_data()?;
    disk.rename(&draft, path)?;
    disk.sync_dir(dir)
}

/// Reads until `buf` is full or the file ends, and says how many bytes that were.
pub(crate) fn read_full_at(file: &dyn DiskFile, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
    let mut read = 0;
    while read < buf.len() {
        match file.read_at(&mut buf[read..], position + read as u64, wait) {
            Ok(0) => break,
            Ok(n) => read += n,
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(read)
}

pub(crate) fn write_all_at(file: &dyn DiskFile, bytes: &[u8], position: u64) -> io::Result<()> {
    write_slices_at(file, &mut [IoSlice::new(bytes)], position)
}

/// Writes all slices one after the other: one system call unless the kernel takes less, or there are more than 1024.
pub(crate) fn write_slices_at(file: &dyn DiskFile, slices: &mut [IoSlice<'_>], mut position: u64) -> io::Result<()> {
    let mut rest = slices;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        let some = rest.len().min(SLICES_MAX);
        match file.write_vectored_at(&rest[..some], position) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                position += n as u64;
                IoSlice::advance_slices(&mut rest, n);
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// `Ok(None)` where the error says that there is no such file.
pub(crate) fn missing<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e),
    }
}
