//! Fetch: who asks ([`session`]), what there is ([`plan`]), waiting for more ([`wait`]), and the answer ([`answer`]).
//!
//! A fetch never reads records. It finds out in which file ranges they lie, says in the answer how long they are, and
//! leaves it to the connection to send them from the page cache. So planning again, when a fetch that waited is woken,
//! costs a few look-ups in memory.

pub mod answer;
pub mod plan;
pub mod session;
pub mod wait;
