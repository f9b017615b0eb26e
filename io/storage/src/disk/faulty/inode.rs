//! A file of the faulty disk: what was written, what of it the disk has, and the pages in between.

use std::collections::BTreeSet;
use std::ops::Range;

use super::dice::Dice;

const PAGE_BYTES: u64 = 4096;

#[derive(Debug, Default)]
pub(super) struct Inode {
    pub written: Vec<u8>,
    synced: Vec<u8>,
    /// Pages in which the two may differ.
    dirty: BTreeSet<u64>,
    /// Room that was taken, perhaps behind the end.
    pub allocated_bytes: u64,
    pub modified_ms: i64,
}

impl Inode {
    pub fn write(&mut self, bytes: &[u8], position: u64) {
        let start = position as usize;
        let end = start + bytes.len();
        if bytes.is_empty() {
            return;
        }
        // A write behind the end leaves zeros before it.
        self.dirty.extend(pages(&((self.written.len() as u64).min(position)..end as u64)));
        if self.written.len() < end {
            self.written.resize(end, 0);
        }
        self.written[start..end].copy_from_slice(bytes);
    }

    /// Cuts the file, or lengthens it with zeros.
    pub fn resize(&mut self, bytes: u64) {
        let old = self.written.len() as u64;
        self.written.resize(bytes as usize, 0);
        self.allocated_bytes = 0;
        self.dirty.extend(pages(&(old.min(bytes)..old.max(bytes))));
    }

    pub fn sync(&mut self) {
        self.write_back(|_| true);
        self.synced.resize(self.written.len(), 0);
    }

    /// A sync that fails: some pages get to the disk, perhaps the length, and none is dirty any more.
    pub fn fail_to_sync(&mut self, dice: &mut Dice) {
        self.write_back(|_| dice.one_in(2));
        self.dirty.clear();
        if dice.one_in(2) {
            self.synced.resize(self.written.len(), 0);
        }
    }

    /// Puts pages on the disk. They may lie behind the length that the disk knows: then it is longer, too.
    pub fn write_back(&mut self, mut reaches: impl FnMut(u64) -> bool) {
        for page in std::mem::take(&mut self.dirty) {
            if reaches(page) {
                self.keep(page, PAGE_BYTES as usize);
            } else {
                self.dirty.insert(page);
            }
        }
    }

    /// `bytes` of a page get to the disk.
    fn keep(&mut self, page: u64, bytes: usize) {
        let start = (page * PAGE_BYTES) as usize;
        let end = (start + bytes).min(self.written.len());
        if start < end {
            if self.synced.len() < end {
                self.synced.resize(end, 0);
            }
            self.synced[start..end].copy_from_slice(&self.written[start..end]);
        }
    }

    pub fn power_loss(&mut self, dice: &mut Dice) {
        let length = self.written.len();
        for page in std::mem::take(&mut self.dirty) {
            match dice.below(3) {
                0 => {}
                1 => self.keep(page, PAGE_BYTES as usize),
                _ => self.keep(page, dice.up_to(PAGE_BYTES as usize)),
            }
        }
        // The length is written apart from the pages: the new one, with zeros for what is missing; or what there is.
        if dice.one_in(2) {
            self.synced.resize(length, 0);
        }
        self.written.clone_from(&self.synced);
        self.allocated_bytes = 0;
    }
}

pub(super) fn pages(range: &Range<u64>) -> Range<u64> {
    range.start / PAGE_BYTES..range.end.div_ceil(PAGE_BYTES)
}
