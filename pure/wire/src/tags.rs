//! The tagged fields of a struct that no schema here knows: kept, and written back as they came (KIP-482).

use bytes::Bytes;

/// Empty nearly always, and then eight bytes that own nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Option<Box<Vec<(u32, Bytes)>>>);

impl Tags {
    pub fn push(&mut self, tag: u32, value: Bytes) {
        self.0.get_or_insert_default().push((tag, value));
    }

    /// In the order of [`Tags::push`].
    pub fn as_slice(&self) -> &[(u32, Bytes)] {
        self.0.as_deref().map_or(&[], Vec::as_slice)
    }
}
