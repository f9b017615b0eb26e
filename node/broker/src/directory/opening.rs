//! Opening the log directories at a start.
//!
//! All are locked before anything is read. Each says in `meta.properties` of which cluster it is; one that is empty is new and
//! becomes a part of this cluster, once the metadata log was found good. The directory of the metadata log must be there,
//! and may be new only if no other knows of a cluster: else its topics would be taken for strays. One of the others that cannot
//! be opened is offline.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ottla_config::{ServerConfig, keys};
use ottla_rt::Rt;
use ottla_storage::checkpoint::{clean, meta};
use ottla_storage::disk::{Disk, LockError};
use ottla_storage::{LogDir, LogError, OpenDirError};

use super::{Directories, Opening, Unopened};
use crate::checkpoints::Checkpoints;
use crate::start::StartError;

/// The directories of a configuration, locked.
#[derive(Debug)]
pub struct Locked {
    locked: Vec<LockedDir>,
    unopened: Vec<Unopened>,
}

#[derive(Debug)]
struct LockedDir {
    log_dir: Arc<LogDir>,
    is_metadata: bool,
    is_data: bool,
}

/// What they say of themselves.
#[derive(Debug)]
pub struct Identified {
    pub directories: Arc<Directories>,
    /// Of the metadata log's directory.
    pub meta: meta::Meta,
    /// It said nothing: `meta` was made up, and is to be written.
    pub is_new: bool,
    /// The other directories that said nothing.
    new: Vec<(Arc<LogDir>, meta::Meta)>,
}

/// Makes the directories that are not there, and locks them all.
pub fn lock(disk: &Arc<dyn Disk>, config: &ServerConfig) -> Result<Locked, StartError> {
    let metadata = config.metadata_log_dir();
    let mut paths: Vec<_> = config.log_dirs().into_iter().map(|path| (path, true)).collect();
    if paths.iter().all(|(path, _)| *path != metadata) {
        paths.push((metadata.clone(), false));
    }
    let mut all = Locked { locked: Vec::new(), unopened: Vec::new() };
    for (path, is_data) in paths {
        let is_metadata = path == metadata;
        let path = PathBuf::from(path);
        match LogDir::open(disk.clone(), &path) {
            Ok(log_dir) => all.locked.push(LockedDir { log_dir, is_metadata, is_data }),
            // One that somebody else holds is not broken.
            Err(error) if is_metadata || matches!(error, OpenDirError::Lock(LockError::Held { .. })) => {
                return Err(error.into());
            }
            Err(error) => all.give_up(path, &error),
        }
    }
    Ok(all)
}

impl Locked {
    /// Asks them whose they are. With more dirty bytes than `dirty_bytes_max` in all, producers are held back.
    pub fn identify(mut self, rt: &Rt, config: &ServerConfig, dirty_bytes_max: u64) -> Result<Identified, StartError> {
        let mut found = Vec::new();
        for dir in std::mem::take(&mut self.locked) {
            let asked = meta::load(dir.log_dir.disk(), dir.log_dir.path())
                .and_then(|meta| Ok((meta, Checkpoints::load(&dir.log_dir)?)));
            match asked {
                Ok((meta, checkpoints)) => found.push((dir, meta, checkpoints)),
                Err(error @ LogError::Io { .. }) if !dir.is_metadata => {
                    self.give_up(dir.log_dir.path().to_owned(), &error);
                }
                Err(error) => return Err(error.into()),
            }
        }
        let known: Vec<_> =
            found.iter().filter_map(|(dir, meta, _)| Some((dir.log_dir.path(), meta.as_ref()?))).collect();
        let first = found.iter().find(|(dir, ..)| dir.is_metadata).expect("it was locked");
        let node_id = config.get(keys::NODE_ID);
        let (home, told) = (first.0.log_dir.path(), first.1.clone());
        check(&known, home, told.as_ref(), node_id)?;
        let cluster_id = told.as_ref().map_or_else(|| rt.random_uuid().to_string(), |meta| meta.cluster_id.clone());
        let make = || meta::Meta { cluster_id: cluster_id.clone(), node_id, directory_id: rt.random_uuid() };
        let is_new = told.is_none();
        let meta = told.unwrap_or_else(make);
        let dirty_bytes_max = dirty_bytes_max / found.len() as u64;
        let mut new = Vec::new();
        let mut opened = Vec::new();
        for (dir, told, checkpoints) in found {
            let LockedDir { log_dir, is_metadata, is_data } = dir;
            let id = match told {
                Some(told) => told.directory_id,
                None if is_metadata => meta.directory_id,
                None => {
                    let made = make();
                    new.push((log_dir.clone(), made.clone()));
                    made.directory_id
                }
            };
            opened.push(Opening { log_dir, id, checkpoints, dirty_bytes_max, is_metadata, is_data });
        }
        let directories = Arc::new(Directories::new(opened, self.unopened));
        Ok(Identified { directories, meta, is_new, new })
    }

    fn give_up(&mut self, path: PathBuf, error: &dyn std::error::Error) {
        tracing::error!("{} is offline, its partitions are not served: {error}", path.display());
        self.unopened.push(Unopened { path });
    }
}

impl Identified {
    /// Makes the new directories a part of the cluster, and gives the broker epoch of the last stop if that was clean in all
    /// of them. The metadata log has been opened, and with it its own directory was asked: `of_metadata`.
    pub fn begin(&self, of_metadata: Option<i64>) -> Result<Option<i64>, LogError> {
        for (log_dir, meta) in &self.new {
            meta::store(log_dir.disk(), log_dir.path(), meta)?;
        }
        let mut epoch = of_metadata.filter(|_| self.directories.unopened().is_empty());
        for directory in self.directories.iter().filter(|directory| !directory.is_metadata) {
            let is_new = self.new.iter().any(|(log_dir, _)| Arc::ptr_eq(log_dir, &directory.log_dir));
            let here = clean::take(directory.log_dir.disk(), directory.path())?;
            epoch = epoch.filter(|_| is_new || here == of_metadata);
        }
        Ok(epoch)
    }
}

/// Whether directories that say these things can be one node's. `home` is that of the metadata log, and says `told`.
fn check(
    known: &[(&Path, &meta::Meta)],
    home: &Path,
    told: Option<&meta::Meta>,
    node_id: i32,
) -> Result<(), StartError> {
    for (path, found) in known {
        if found.node_id != node_id {
            let path = path.join(meta::FILE);
            return Err(StartError::OtherNode { path, found: found.node_id, configured: node_id });
        }
        match told {
            Some(told) if found.cluster_id != told.cluster_id => {
                return Err(StartError::OtherCluster {
                    path: path.join(meta::FILE),
                    found: found.cluster_id.clone(),
                    home: home.to_owned(),
                    expected: told.cluster_id.clone(),
                });
            }
            Some(_) => {}
            None => return Err(StartError::NoMetadata { home: home.to_owned(), path: path.to_path_buf() }),
        }
    }
    let mut ids = std::collections::BTreeMap::new();
    for (path, found) in known {
        if let Some(other) = ids.insert(found.directory_id, *path) {
            return Err(StartError::SameDirectory { one: other.to_owned(), other: path.to_path_buf() });
        }
    }
    Ok(())
}
