//! The tagged fields of a struct that no schema here knows: kept, and written back as they came (KIP-482).

use bytes::Bytes;

/// Tag and value of each. Empty nearly always, and then eight bytes that own nothing: a struct of three bytes on the wire
/// should not grow by a `Vec` for what it does not have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags(Option<Box<List>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct List(Vec<(u32, Bytes)>);

impl Tags {
    pub fn push(&mut self, tag: u32, value: Bytes) {
        self.0.get_or_insert_default().0.push((tag, value));
    }

    /// In the order of [`Tags::push`].
    pub fn as_slice(&self) -> &[(u32, Bytes)] {
        self.0.as_deref().map_or(&[], |list| list.0.as_slice())
    }
}
