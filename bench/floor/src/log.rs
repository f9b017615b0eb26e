//! A partition: files that grow, and nothing that tells where an offset lies.
//!
//! The loader sends batches of one size to a partition. So an offset is a position by arithmetic, and the floor needs no
//! index; a batch of another size is refused.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex};

/// What all batches of a partition have in common.
#[derive(Clone, Copy, PartialEq)]
pub struct Shape {
    pub bytes: u64,
    pub records: i64,
}

pub struct Partition {
    pub log: Mutex<Log>,
    /// Told when there is more.
    pub grown: Condvar,
}

impl Partition {
    pub fn create(dir: PathBuf, segment_bytes: u64) -> io::Result<Partition> {
        Ok(Partition { log: Mutex::new(Log::create(dir, segment_bytes)?), grown: Condvar::new() })
    }
}

pub struct Log {
    dir: PathBuf,
    segment_bytes: u64,
    segments: Vec<Arc<File>>,
    shape: Option<Shape>,
    batches: u64,
    /// Who waits for more. To tell nobody is a system call, too.
    pub waiting: usize,
}

/// A part of one segment.
pub struct Part {
    pub file: Arc<File>,
    pub position: u64,
    pub bytes: u64,
}

impl Log {
    pub fn create(dir: PathBuf, segment_bytes: u64) -> io::Result<Log> {
        std::fs::create_dir_all(&dir)?;
        Ok(Log { dir, segment_bytes, segments: Vec::new(), shape: None, batches: 0, waiting: 0 })
    }

    /// The offset of the next record.
    pub fn end(&self) -> i64 {
        self.batches as i64 * self.shape.map_or(0, |shape| shape.records)
    }

    /// Writes the batch at the end, once `stamp` has put its base offset into it. Gives that offset; `None` refuses the
    /// batch for its shape.
    pub fn append(&mut self, batch: &mut [u8], shape: Shape, stamp: fn(&mut [u8], i64)) -> io::Result<Option<i64>> {
        if *self.shape.get_or_insert(shape) != shape {
            return Ok(None);
        }
        let (segment, position) = self.place(shape, self.batches);
        if segment == self.segments.len() {
            let path = self.dir.join(format!("{segment}.log"));
            self.segments.push(Arc::new(File::options().read(true).write(true).create_new(true).open(path)?));
        }
        let base_offset = self.end();
        stamp(batch, base_offset);
        self.segments[segment].write_all_at(batch, position)?;
        self.batches += 1;
        Ok(Some(base_offset))
    }

    /// The batches from the one with this offset to the end of its segment, at most so many bytes, the last batch perhaps
    /// cut. `None` where no record has this offset.
    pub fn part(&self, offset: i64, max_bytes: u64) -> Option<Part> {
        let shape = self.shape.filter(|_| (0..self.end()).contains(&offset))?;
        let batch = offset as u64 / shape.records as u64;
        let (segment, position) = self.place(shape, batch);
        let first_of_segment = batch - position / shape.bytes;
        let in_segment = (self.batches - first_of_segment).min(per_segment(shape, self.segment_bytes));
        let bytes = (in_segment * shape.bytes - position).min(max_bytes);
        Some(Part { file: Arc::clone(&self.segments[segment]), position, bytes })
    }

    fn place(&self, shape: Shape, batch: u64) -> (usize, u64) {
        let per_segment = per_segment(shape, self.segment_bytes);
        ((batch / per_segment) as usize, batch % per_segment * shape.bytes)
    }
}

fn per_segment(shape: Shape, segment_bytes: u64) -> u64 {
    (segment_bytes / shape.bytes).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { bytes: 10, records: 2 };

    fn stamp(batch: &mut [u8], base_offset: i64) {
        batch[0] = base_offset as u8;
    }

    #[test]
    fn offsets_are_positions() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(dir.path().join("p"), 35).unwrap();
        for batch in 0..7 {
            assert_eq!(log.append(&mut [0; 10], SHAPE, stamp).unwrap(), Some(batch * 2));
        }
        assert_eq!((log.end(), log.segments.len()), (14, 3), "three batches fit a segment");
        let part = |offset, max_bytes| {
            let part = log.part(offset, max_bytes)?;
            let mut first = [0];
            part.file.read_exact_at(&mut first, part.position).unwrap();
            Some((first[0], part.position, part.bytes))
        };
        assert_eq!(part(0, 100), Some((0, 0, 30)));
        assert_eq!(part(3, 100), Some((2, 10, 20)), "an offset inside a batch gives the batch");
        assert_eq!(part(8, 15), Some((8, 10, 15)));
        assert_eq!(part(12, 100), Some((12, 0, 10)), "the last segment is not full");
        assert_eq!((part(14, 100), part(-1, 100)), (None, None));
    }

    #[test]
    fn a_batch_of_another_shape_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = Log::create(dir.path().join("p"), 35).unwrap();
        log.append(&mut [0; 10], SHAPE, stamp).unwrap();
        assert_eq!(log.append(&mut [0; 9], Shape { bytes: 9, ..SHAPE }, stamp).unwrap(), None);
        assert_eq!(log.end(), 2);
    }
}
