//! A bounded number of open files for closed segments.
//!
//! Thousands of partitions with dozens of segments each would need more descriptors than a process gets. Active segments
//! stay open; of the others a file is opened when it is read, and closed again when too many are: the one whose turn it
//! is and that nobody asked for since its last turn.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, Weak};

use crate::lock;
use crate::segment::Segment;

#[derive(Debug)]
pub(crate) struct OpenFiles {
    segments_max: usize,
    segments: Mutex<VecDeque<Weak<Segment>>>,
}

impl OpenFiles {
    pub fn new(segments_max: usize) -> OpenFiles {
        OpenFiles { segments_max, segments: Mutex::default() }
    }

    /// `segment` has opened its files. May close those of any segment: the caller holds no lock of one.
    pub fn opened(&self, segment: &Arc<Segment>) {
        let mut segments = lock(&self.segments);
        segments.push_back(Arc::downgrade(segment));
        // One turn for each, and whoever was asked for meanwhile goes round once more.
        for _ in 0..2 * segments.len() {
            if segments.len() <= self.segments_max {
                break;
            }
            let oldest = segments.pop_front().and_then(|weak| weak.upgrade());
            if let Some(segment) = oldest.filter(|segment| !segment.close_unless_used()) {
                segments.push_back(Arc::downgrade(&segment));
            }
        }
    }
}
