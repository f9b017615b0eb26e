//! Where a start finds the replicas, if there are several log directories.
//!
//! The metadata says in which directory a replica is. It can be elsewhere: a move was done, and its record was lost with the
//! power; or somebody moved it while the broker was down. Then the metadata follows. It can be there twice, if a move was cut
//! short between its last two steps: the one that has more counts, or of equals that where the metadata does not expect it,
//! which is the copy; the other is set aside. Where one cannot be read, nobody knows which has more, and the replica stays
//! closed until a start that can. A copy in the making (`-future`) says that a move was asked for, which goes on
//! (`upkeep/moving.rs`).

use std::collections::BTreeMap;
use std::sync::Arc;

use ottla_base::Uuid;
use ottla_metadata::Image;
use ottla_storage::Log;

use super::replicas::{Meanwhile, Replicas};
use crate::directory::Directory;

/// One replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ReplicaId {
    pub topic: Uuid,
    pub index: i32,
}

#[derive(Debug, Default)]
pub struct Settled {
    /// Replicas that are in another directory than the metadata says.
    pub elsewhere: Vec<(Uuid, ReplicaId)>,
    pub moves: Vec<Unfinished>,
}

/// A move that was under way.
#[derive(Debug)]
pub struct Unfinished {
    pub to: Arc<Directory>,
    pub replica: ReplicaId,
    /// Name of the copy's directory.
    pub future: String,
}

/// Looks through the directories, and sets aside what is there twice. What cannot be read is told, and left.
pub fn settle(replicas: &Replicas, image: &Image) -> Settled {
    let mut settled = Settled::default();
    let is_alone = replicas.directories.online().nth(1).is_none();
    let mut places = BTreeMap::<(ReplicaId, String), Vec<&Arc<Directory>>>::new();
    for directory in replicas.directories.online() {
        let names = match directory.log_dir.list() {
            Ok(names) => names,
            Err(error) => {
                tracing::error!("cannot look for replicas: {error}");
                continue;
            }
        };
        for name in names {
            if let Some(whole) = future_of(&name) {
                match replica_of(directory, image, whole, &name) {
                    Some(replica) if !directory.holds(whole, replica.topic).unwrap_or(false) => {
                        settled.moves.push(Unfinished { to: directory.clone(), replica, future: name });
                    }
                    _ => directory.remove(&name),
                }
            } else if !is_alone && let Some(replica) = replica_of(directory, image, &name, &name) {
                places.entry((replica, name)).or_default().push(directory);
            }
        }
    }
    for ((replica, name), homes) in places {
        let expected = expected(replicas, image, replica);
        let home = match homes[..] {
            [only] => only,
            _ => {
                let ends: Option<Vec<_>> = homes.iter().map(|home| end_of(replicas, image, home, &name)).collect();
                let Some(ends) = ends else {
                    tracing::error!("{name} is there twice, and which of them counts is not known: it stays closed");
                    replicas.hold(replica, Meanwhile::Stuck);
                    continue;
                };
                // Of equals the last.
                let newest = ends.iter().zip(&homes).max_by_key(|(end, home)| (**end, home.id != expected));
                newest.map_or(homes[0], |(_, home)| home)
            }
        };
        for other in homes.iter().filter(|other| !Arc::ptr_eq(other, home)) {
            match other.log_dir.set_aside(&name, replica.topic) {
                Ok(stray) => {
                    other.checkpoints.is_gone(&name);
                    tracing::warn!("{name} is in {} too; renamed to {stray}", home.path().display());
                }
                Err(error) => tracing::error!("{name} is there twice, and cannot be renamed: {error}"),
            }
        }
        if home.id != expected {
            settled.elsewhere.push((home.id, replica));
        }
    }
    tell_of_missing(replicas, image, &settled);
    settled
}

/// A disk that is not mounted leaves an empty directory, which looks like one that has just been added. That replicas are in one
/// of another id shows what it is.
fn tell_of_missing(replicas: &Replicas, image: &Image, settled: &Settled) {
    let mut missing = BTreeMap::<Uuid, (usize, String)>::new();
    for topic in image.topics().iter() {
        for (index, partition) in topic.partitions() {
            let directory = partition.directory_on(replicas.identity.node_id);
            let replica = ReplicaId { topic: topic.id, index };
            let is_found = || settled.elsewhere.iter().any(|(_, found)| *found == replica);
            if !replicas.directories.may_hold(directory) && !is_found() {
                let (count, _) = missing.entry(directory).or_insert_with(|| (0, format!("{}-{index}", topic.name)));
                *count += 1;
            }
        }
    }
    for (directory, (count, name)) in missing {
        tracing::error!(
            "{count} partitions, among them {name}, are not served: they are in the log directory {directory}, which is none of \
             log.dirs that work. Is a disk not mounted, or was log.dirs changed?"
        );
    }
}

/// Where a log ends; `None` if it cannot be opened.
fn end_of(replicas: &Replicas, image: &Image, home: &Directory, name: &str) -> Option<i64> {
    let (topic, _) = name.rsplit_once('-')?;
    let settings = replicas.settings(image, &topic.into());
    let known = home.checkpoints.known(name, &settings.config);
    let opened = Log::open(&home.log_dir, name, settings.log_options(0), known);
    let opened =
        opened.inspect_err(|error| tracing::error!("{name} is there twice, and one cannot be opened: {error}"));
    let (log, _) = opened.ok()?;
    let end = log.end().offset;
    log.let_go();
    Some(end)
}

/// Where the metadata says that this node's replica is.
fn expected(replicas: &Replicas, image: &Image, ReplicaId { topic, index }: ReplicaId) -> Uuid {
    let partition = image.topics().get_by_id(&topic).and_then(|topic| topic.partition(index));
    partition.map_or(Uuid::ZERO, |partition| partition.directory_on(replicas.identity.node_id))
}

/// The replica that has this name, if what is in `place` says that it is its own.
fn replica_of(directory: &Directory, image: &Image, name: &str, place: &str) -> Option<ReplicaId> {
    let (topic, index) = name.rsplit_once('-')?;
    let (topic, index) = (image.topics().get(topic)?, index.parse().ok()?);
    topic.partition(index)?;
    let is_here = directory.holds(place, topic.id).unwrap_or(false);
    is_here.then_some(ReplicaId { topic: topic.id, index })
}

/// The name of what `<name>.<32 digits>-future` is a copy of.
fn future_of(name: &str) -> Option<&str> {
    let (whole, id) = name.strip_suffix("-future")?.rsplit_once('.')?;
    (id.len() == 32).then_some(whole)
}
