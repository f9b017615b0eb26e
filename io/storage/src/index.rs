//! What the two indexes of a segment have in common: a file of ordered entries of one size.
//!
//! An index is a hint. It is written late (the active segment's entries live in memory and reach the file in lots),
//! synced only when the segment is closed, and whoever uses an entry looks whether the log agrees. So nothing here
//! trusts a file further than that its entries rise.

use std::io;
use std::marker::PhantomData;

use crate::disk::{DiskFile, Wait, read_full_at, write_all_at};

/// Bytes of an index file that are read at once.
const BLOCK_BYTES: usize = 4096;

pub(crate) trait IndexEntry: Copy {
    const BYTES: usize;
    /// `bytes` is as long as an entry.
    fn read(bytes: &[u8]) -> Self;
    fn write(&self, bytes: &mut Vec<u8>);
    /// Whether this entry may stand behind `before`.
    fn follows(&self, before: &Self) -> bool;
}

/// Entries in memory, in the bytes of the file, and how many of those bytes the file has.
#[derive(Debug)]
pub(crate) struct Entries<E> {
    bytes: Vec<u8>,
    written_bytes: usize,
    entry: PhantomData<E>,
}

impl<E> Default for Entries<E> {
    fn default() -> Self {
        Entries { bytes: Vec::new(), written_bytes: 0, entry: PhantomData }
    }
}

impl<E: IndexEntry> Entries<E> {
    /// Reads the entries of a file up to the first that does not rise: where a file ends in zeros, or in noise, that is
    /// its end.
    pub fn load(file: &dyn DiskFile) -> io::Result<Entries<E>> {
        let mut entries = Entries::default();
        let mut block = [0; BLOCK_BYTES];
        let block = &mut block[..BLOCK_BYTES / E::BYTES * E::BYTES];
        loop {
            let read = read_full_at(file, block, entries.bytes.len() as u64, Wait::Yes)?;
            for bytes in block[..read].chunks_exact(E::BYTES) {
                let entry = E::read(bytes);
                if entries.last().is_some_and(|last| !entry.follows(&last)) {
                    return Ok(entries.all_written());
                }
                entries.push(entry);
            }
            if read < block.len() {
                return Ok(entries.all_written());
            }
        }
    }

    fn all_written(mut self) -> Entries<E> {
        self.written_bytes = self.bytes.len();
        self
    }

    pub fn len(&self) -> usize {
        self.bytes.len() / E::BYTES
    }

    pub fn get(&self, i: usize) -> E {
        E::read(&self.bytes[i * E::BYTES..(i + 1) * E::BYTES])
    }

    pub fn last(&self) -> Option<E> {
        self.len().checked_sub(1).map(|i| self.get(i))
    }

    pub fn push(&mut self, entry: E) {
        entry.write(&mut self.bytes);
    }

    pub fn truncate(&mut self, len: usize) {
        self.bytes.truncate(len * E::BYTES);
        self.written_bytes = self.written_bytes.min(self.bytes.len());
    }

    /// Keeps the entries at the front for which `keep` holds.
    pub fn truncate_where(&mut self, keep: impl Fn(&E) -> bool) {
        let kept = (0..self.len()).take_while(|&i| keep(&self.get(i))).count();
        self.truncate(kept);
    }

    /// The last entry that is not beyond what is sought.
    pub fn floor(&self, beyond: impl Fn(&E) -> bool) -> Option<E> {
        floor(self.len(), beyond, |i| Ok(self.get(i))).expect("memory does not fail")
    }

    /// As [`FileEntries::first`].
    pub fn first(&self, is_such: impl Fn(&E) -> bool) -> usize {
        first(self.len(), is_such, |i| Ok(self.get(i))).expect("memory does not fail")
    }

    pub fn unwritten(&self) -> usize {
        (self.bytes.len() - self.written_bytes) / E::BYTES
    }

    /// What the file still lacks, to be given to [`Pending::write_to`] without a lock.
    pub fn pending(&self) -> Pending {
        Pending { from: self.written_bytes, bytes: self.bytes[self.written_bytes..].to_vec() }
    }

    /// `pending` is in the file.
    pub fn written(&mut self, pending: &Pending) {
        self.written_bytes = self.bytes.len().min(pending.from + pending.bytes.len());
    }
}

/// The end of an index that its file lacks.
#[derive(Debug)]
pub(crate) struct Pending {
    from: usize,
    bytes: Vec<u8>,
}

impl Pending {
    /// Writes it, and cuts what the file has behind it.
    pub fn write_to(&self, file: &dyn DiskFile) -> io::Result<()> {
        write_all_at(file, &self.bytes, self.from as u64)?;
        let end = (self.from + self.bytes.len()) as u64;
        if file.size()? != end { file.set_size(end) } else { Ok(()) }
    }
}

/// The entries of a closed segment, read from the file as they are needed.
pub(crate) struct FileEntries<'a, E> {
    file: &'a dyn DiskFile,
    len: usize,
    wait: Wait,
    block: [u8; BLOCK_BYTES],
    /// The entries in `block`.
    held: std::ops::Range<usize>,
    entry: PhantomData<E>,
}

impl<'a, E: IndexEntry> FileEntries<'a, E> {
    pub fn new(file: &'a dyn DiskFile, wait: Wait) -> io::Result<FileEntries<'a, E>> {
        let len = usize::try_from(file.size()?).map_err(io::Error::other)? / E::BYTES;
        Ok(FileEntries { file, len, wait, block: [0; BLOCK_BYTES], held: 0..0, entry: PhantomData })
    }

    pub fn last(&mut self) -> io::Result<Option<E>> {
        self.len.checked_sub(1).map(|i| self.get(i)).transpose()
    }

    /// As [`Entries::floor`].
    pub fn floor(&mut self, beyond: impl Fn(&E) -> bool) -> io::Result<Option<E>> {
        floor(self.len, beyond, |i| self.get(i))
    }

    /// Place of the first entry that is such; as many as there are if none is. Those that are stand behind those that are not.
    pub fn first(&mut self, is_such: impl Fn(&E) -> bool) -> io::Result<usize> {
        first(self.len, is_such, |i| self.get(i))
    }

    pub fn len(&self) -> usize {
        self.len
    }

    pub fn get(&mut self, i: usize) -> io::Result<E> {
        if !self.held.contains(&i) {
            let in_block = BLOCK_BYTES / E::BYTES;
            let first = i / in_block * in_block;
            let wanted = &mut self.block[..in_block * E::BYTES];
            let read = read_full_at(self.file, wanted, (first * E::BYTES) as u64, self.wait)?;
            self.held = first..first + read / E::BYTES;
        }
        if !self.held.contains(&i) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let at = (i - self.held.start) * E::BYTES;
        Ok(E::read(&self.block[at..at + E::BYTES]))
    }
}

/// The entry before the first that is beyond.
fn floor<E>(
    len: usize,
    beyond: impl Fn(&E) -> bool,
    mut get: impl FnMut(usize) -> io::Result<E>,
) -> io::Result<Option<E>> {
    first(len, beyond, &mut get)?.checked_sub(1).map(get).transpose()
}

/// Binary search over `len` entries that rise (over others it ends as well, anywhere).
fn first<E>(
    len: usize,
    is_such: impl Fn(&E) -> bool,
    mut get: impl FnMut(usize) -> io::Result<E>,
) -> io::Result<usize> {
    let (mut low, mut high) = (0, len);
    while low < high {
        let middle = low + (high - low) / 2;
        if is_such(&get(middle)?) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    Ok(low)
}
