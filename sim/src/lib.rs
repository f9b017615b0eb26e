//! Two whole brokers in one process, from one seed.
//!
//! What a broker promises is easily kept as long as nothing goes wrong, and what goes wrong takes weeks to come by on real
//! machines. Here a seed is a world: a scheduler, a clock, two brokers with their disks and networks, clients that speak
//! Kafka's bytes, and everything that can befall them, drawn from that one number. A seed that fails fails again.
//!
//! ```text
//! story      what happens to one broker, in order
//!   machine    its disk and its processes
//!   fate       crashes, faults, weather
//!   producer, reader, topics, mover, audit    what its clients do
//!   groups     the same for groups: committer, classic_member, consumer_member
//!     client     Kafka's bytes over a connection
//! history    what the clients saw
//! checks/    what a broker promises, each as a function of a history
//! ```
//!
//! The two brokers have nothing to do with each other; that they share a process shows that no state is in statics, and
//! their tasks take turns in orders that one alone would not have.

mod audit;
pub mod checks;
mod classic_member;
mod client;
mod committer;
mod consumer_member;
mod dice;
mod disk;
mod fate;
mod group_client;
mod groups;
pub mod history;
mod machine;
mod mover;
mod producer;
mod reader;
mod record;
mod roster;
mod site;
mod story;
mod topics;
mod trace;
mod trimmer;

use ottla_rt::World;

use checks::Violation;
use story::Teller;

pub use trace::Trace;

/// Tells the story of a seed. Gives what was wrong in it.
pub fn run(seed: u64, trace: &Trace) -> Vec<Violation> {
    let world = World::new(seed).expect("the runtime needs nothing of the system");
    let rt = world.process("world").rt();
    let tell = |name, number| Teller { world: &world, name, number, trace: trace.clone() }.tell();
    let (a, b) = trace.with_logs(&rt, || world.block_on(async { tokio::join!(biased; tell("a", 1), tell("b", 2)) }));
    let mut violations = Vec::new();
    for (name, history) in [("a", a), ("b", b)] {
        violations.extend(checks::check(name, &history));
    }
    violations
}
