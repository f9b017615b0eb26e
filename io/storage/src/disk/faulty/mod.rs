//! A disk in memory that loses, tears, refuses and remembers as its seed says.
//!
//! It keeps two states of everything: what was written, which every reader sees and which a killed process leaves
//! behind, and what was synced, which is all that a power loss must leave. [`FaultyDisk::power_loss`] makes the second
//! the first again, and keeps of what lies between whatever the dice say: pages of 4 KiB in any order, a page in part,
//! the new length or the old. Of the changes of names it keeps the earlier ones, and a rename is whole or not at all, as
//! every journal sees to.
//!
//! Faults come drawn ([`FaultyDisk::draw_errors`]) or scripted ([`FaultyDisk::fail_next`]); every operation has a number,
//! and [`FaultyDisk::stop_at`] lets the process die at a given one, in the midst of it. As on Linux, a failed sync
//! forgets that the pages were dirty: they are lost with the power although a later sync succeeds.

mod dice;
mod inode;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, ErrorKind, IoSlice};
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex};

use dice::Dice;
use inode::{Inode, pages};

use super::{Disk, DiskFile, DiskLock, Entry, LockError, Open, Wait};
use crate::lock;

/// Kinds of operation that can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Open,
    Read,
    Write,
    SetSize,
    Sync,
    /// Rename, remove, make or sync a directory.
    Names,
}

/// Clones are the same disk.
#[derive(Clone, Debug)]
pub struct FaultyDisk(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    dice: Dice,
    nodes: BTreeMap<Id, Node>,
    next_id: u64,
    /// Changes of names that no sync covers, in order.
    unsynced: Vec<NameChange>,
    locks: BTreeSet<PathBuf>,
    operations: u64,
    stop_at: Option<u64>,
    /// Handles of an earlier life are dead.
    life: u64,
    capacity_bytes: Option<u64>,
    /// The time of its clock.
    now_ms: i64,
    scripted: Vec<Scripted>,
    odds: Odds,
}

/// An operation on a path with this part that is to fail.
#[derive(Debug)]
struct Scripted {
    operation: Operation,
    path: String,
    error: ErrorKind,
    times: Times,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    Once,
    Always,
}

/// How many of a thousand operations go wrong.
#[derive(Clone, Copy, Debug, Default)]
pub struct Odds {
    /// Operations of any kind that fail.
    pub errors_per_mille: u64,
    /// Writes that write less than they are given.
    pub short_writes_per_mille: u64,
    /// Reads that would have to wait for the disk.
    pub cold_reads_per_mille: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Id(u64);

const ROOT: Id = Id(0);

#[derive(Debug)]
enum Node {
    File(Inode),
    /// Names as they are, and as a power loss would leave them at the least.
    Dir {
        names: BTreeMap<String, Id>,
        synced: BTreeMap<String, Id>,
    },
}

/// What becomes of a name in one change: `None` is removed.
#[derive(Debug)]
struct NameChange(Vec<(Id, String, Option<Id>)>);

#[derive(Debug)]
struct FaultyFile {
    disk: FaultyDisk,
    path: PathBuf,
    id: Id,
    life: u64,
    writable: bool,
}

#[derive(Debug)]
struct FaultyLock {
    disk: FaultyDisk,
    path: PathBuf,
    life: u64,
}

impl FaultyDisk {
    pub fn new(seed: u64) -> FaultyDisk {
        let root = Node::Dir { names: BTreeMap::new(), synced: BTreeMap::new() };
        FaultyDisk(Arc::new(Mutex::new(State {
            dice: Dice(seed),
            nodes: BTreeMap::from([(ROOT, root)]),
            next_id: 1,
            unsynced: Vec::new(),
            locks: BTreeSet::new(),
            operations: 0,
            stop_at: None,
            life: 0,
            capacity_bytes: None,
            now_ms: 0,
            scripted: Vec::new(),
            odds: Odds::default(),
        })))
    }

    /// Operations begun so far.
    pub fn operations(&self) -> u64 {
        lock(&self.0).operations
    }

    /// The process dies at this operation, which may happen in part; every later one fails.
    pub fn stop_at(&self, operation: u64) {
        lock(&self.0).stop_at = Some(operation);
    }

    /// Whether the operation of [`FaultyDisk::stop_at`] was reached.
    pub fn has_stopped(&self) -> bool {
        lock(&self.0).has_stopped()
    }

    /// The process is gone, the machine stays: everything written is still there, locks are free, open files are dead.
    pub fn kill(&self) {
        let mut state = lock(&self.0);
        state.life += 1;
        state.stop_at = None;
        state.locks.clear();
    }

    /// As [`FaultyDisk::kill`], and what was not synced is lost, or is not.
    pub fn power_loss(&self) {
        self.kill();
        let state = &mut *lock(&self.0);
        let unsynced = std::mem::take(&mut state.unsynced);
        let kept = state.dice.up_to(unsynced.len() + 1);
        for NameChange(names) in &unsynced[..kept] {
            state.apply(names, |_, synced| synced);
        }
        for node in state.nodes.values_mut() {
            match node {
                Node::Dir { names, synced } => names.clone_from(synced),
                Node::File(inode) => inode.power_loss(&mut state.dice),
            }
        }
    }

    /// Bytes that files may hold altogether.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        lock(&self.0).capacity_bytes = bytes;
    }

    /// Sets the clock that tells when files are written: milliseconds since 1970. It stands at 0 until then.
    pub fn set_time(&self, now_ms: i64) {
        lock(&self.0).now_ms = now_ms;
    }

    /// The next operation of this kind on a path that contains `path` fails.
    pub fn fail_next(&self, operation: Operation, path: &str, error: ErrorKind) {
        self.script(Scripted { operation, path: path.to_owned(), error, times: Times::Once });
    }

    /// Every operation of this kind on such a path fails, until [`FaultyDisk::mend`].
    pub fn fail_all(&self, operation: Operation, path: &str, error: ErrorKind) {
        self.script(Scripted { operation, path: path.to_owned(), error, times: Times::Always });
    }

    /// Nothing fails any more that was told to.
    pub fn mend(&self) {
        lock(&self.0).scripted.clear();
    }

    fn script(&self, scripted: Scripted) {
        lock(&self.0).scripted.push(scripted);
    }

    pub fn draw_errors(&self, odds: Odds) {
        lock(&self.0).odds = odds;
    }

    fn begin(&self, life: u64) -> io::Result<std::sync::MutexGuard<'_, State>> {
        let state = lock(&self.0);
        if state.life != life || state.has_stopped() {
            return Err(io::Error::other("the process has stopped"));
        }
        Ok(state)
    }

    fn life(&self) -> u64 {
        lock(&self.0).life
    }
}

impl State {
    fn has_stopped(&self) -> bool {
        self.stop_at.is_some_and(|at| self.operations >= at)
    }

    /// Counts an operation and draws its fate.
    fn operate(&mut self, operation: Operation, path: &Path) -> io::Result<Fate> {
        self.operations += 1;
        if self.has_stopped() {
            return if self.dice.one_in(2) { Ok(Fate::LastBreath) } else { Err(io::Error::other("the process stops")) };
        }
        let text = path.to_string_lossy();
        let is_meant = |scripted: &Scripted| scripted.operation == operation && text.contains(&scripted.path);
        if let Some(i) = self.scripted.iter().position(is_meant) {
            let error = self.scripted[i].error;
            if self.scripted[i].times == Times::Once {
                self.scripted.remove(i);
            }
            return Ok(Fate::Fails(error));
        }
        if self.draw(|odds| odds.errors_per_mille) {
            return Ok(Fate::Fails(ErrorKind::Other));
        }
        Ok(Fate::Happens)
    }

    /// For operations that happen or do not.
    fn operate_whole(&mut self, operation: Operation, path: &Path) -> io::Result<()> {
        match self.operate(operation, path)? {
            Fate::Fails(kind) => Err(kind.into()),
            Fate::Happens | Fate::LastBreath => Ok(()),
        }
    }

    fn draw(&mut self, per_mille: impl Fn(&Odds) -> u64) -> bool {
        self.dice.below(1000) < per_mille(&self.odds)
    }

    fn used_bytes(&self) -> u64 {
        let of = |node: &Node| match node {
            Node::File(inode) => (inode.written.len() as u64).max(inode.allocated_bytes),
            Node::Dir { .. } => 0,
        };
        self.reachable(ROOT).iter().filter_map(|id| self.nodes.get(id)).map(of).sum()
    }

    fn reachable(&self, from: Id) -> BTreeSet<Id> {
        let mut found = BTreeSet::from([from]);
        if let Some(Node::Dir { names, .. }) = self.nodes.get(&from) {
            names.values().for_each(|id| found.extend(self.reachable(*id)));
        }
        found
    }

    fn find(&self, path: &Path) -> io::Result<Id> {
        let mut at = ROOT;
        for name in names_of(path) {
            let Some(Node::Dir { names, .. }) = self.nodes.get(&at) else {
                return Err(ErrorKind::NotADirectory.into());
            };
            at = *names.get(&name).ok_or(ErrorKind::NotFound)?;
        }
        Ok(at)
    }

    fn parent(&self, path: &Path) -> io::Result<(Id, String)> {
        let mut names = names_of(path);
        let name = names.pop().ok_or(ErrorKind::InvalidInput)?;
        Ok((self.find(&names.iter().collect::<PathBuf>())?, name))
    }

    fn add(&mut self, node: Node) -> Id {
        let id = Id(self.next_id);
        self.next_id += 1;
        self.nodes.insert(id, node);
        id
    }

    fn change(&mut self, names: Vec<(Id, String, Option<Id>)>) {
        self.apply(&names, |names, _| names);
        self.unsynced.push(NameChange(names));
    }

    fn apply(
        &mut self,
        changes: &[(Id, String, Option<Id>)],
        of: impl for<'a> Fn(&'a mut BTreeMap<String, Id>, &'a mut BTreeMap<String, Id>) -> &'a mut BTreeMap<String, Id>,
    ) {
        for (dir, name, id) in changes {
            if let Some(Node::Dir { names, synced }) = self.nodes.get_mut(dir) {
                match id {
                    Some(id) => of(names, synced).insert(name.clone(), *id),
                    None => of(names, synced).remove(name),
                };
            }
        }
    }

    fn inode(&mut self, id: Id) -> &mut Inode {
        match self.nodes.get_mut(&id) {
            Some(Node::File(inode)) => inode,
            _ => unreachable!("a file stays a file"),
        }
    }

    /// Some of these pages of a file get to the disk.
    fn write_back(&mut self, id: Id, which: impl Fn(u64) -> bool) {
        let State { dice, nodes, .. } = self;
        if let Some(Node::File(inode)) = nodes.get_mut(&id) {
            inode.write_back(|page| which(page) && dice.one_in(2));
        }
    }

    /// Bytes of a write of this size to `[position..]` that there is room for.
    fn room_for(&mut self, id: Id, position: u64, bytes: usize) -> usize {
        let Some(capacity) = self.capacity_bytes else { return bytes };
        let used = self.used_bytes();
        let inode = self.inode(id);
        let held = (inode.written.len() as u64).max(inode.allocated_bytes);
        let room = capacity.saturating_sub(used) + held.saturating_sub(position);
        bytes.min(usize::try_from(room).unwrap_or(usize::MAX))
    }
}

/// What the dice have for an operation.
enum Fate {
    Happens,
    Fails(ErrorKind),
    /// The process dies while it goes on.
    LastBreath,
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, how: Open) -> io::Result<Arc<dyn DiskFile>> {
        let life = self.life();
        let mut state = self.begin(life)?;
        state.operate_whole(Operation::Open, path)?;
        let id = match state.find(path) {
            Ok(id) => id,
            Err(e) if e.kind() == ErrorKind::NotFound && how == Open::Create => {
                let (dir, name) = state.parent(path)?;
                let id = state.add(Node::File(Inode::default()));
                state.change(vec![(dir, name, Some(id))]);
                id
            }
            Err(e) => return Err(e),
        };
        if !matches!(state.nodes.get(&id), Some(Node::File(_))) {
            return Err(ErrorKind::IsADirectory.into());
        }
        let (disk, path) = (self.clone(), path.to_owned());
        Ok(Arc::new(FaultyFile { disk, path, id, life, writable: how != Open::Read }))
    }

    fn size_of(&self, path: &Path) -> io::Result<u64> {
        let mut state = self.begin(self.life())?;
        let id = state.find(path)?;
        Ok(state.inode(id).written.len() as u64)
    }

    fn modified_ms(&self, path: &Path) -> io::Result<i64> {
        let mut state = self.begin(self.life())?;
        let id = state.find(path)?;
        Ok(state.inode(id).modified_ms)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.begin(self.life())?;
        state.operate_whole(Operation::Names, from)?;
        let id = state.find(from)?;
        let ((from_dir, from_name), (to_dir, to_name)) = (state.parent(from)?, state.parent(to)?);
        state.change(vec![(from_dir, from_name, None), (to_dir, to_name, Some(id))]);
        Ok(())
    }

    fn remove_file(&self, path: &Path) -> io::Result<()> {
        let mut state = self.begin(self.life())?;
        state.operate_whole(Operation::Names, path)?;
        state.find(path)?;
        let (dir, name) = state.parent(path)?;
        state.change(vec![(dir, name, None)]);
        Ok(())
    }

    fn create_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.begin(self.life())?;
        state.operate_whole(Operation::Names, dir)?;
        if state.find(dir).is_ok() {
            return Ok(());
        }
        let (parent, name) = state.parent(dir)?;
        let id = state.add(Node::Dir { names: BTreeMap::new(), synced: BTreeMap::new() });
        state.change(vec![(parent, name, Some(id))]);
        Ok(())
    }

    fn remove_dir(&self, dir: &Path) -> io::Result<()> {
        if !self.list(dir)?.is_empty() {
            return Err(ErrorKind::DirectoryNotEmpty.into());
        }
        self.remove_file(dir)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<Entry>> {
        let state = self.begin(self.life())?;
        let id = state.find(dir)?;
        let Some(Node::Dir { names, .. }) = state.nodes.get(&id) else { return Err(ErrorKind::NotADirectory.into()) };
        let is_dir = |id| matches!(state.nodes.get(id), Some(Node::Dir { .. }));
        Ok(names.iter().map(|(name, id)| Entry { name: name.clone(), is_dir: is_dir(id) }).collect())
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        let mut state = self.begin(self.life())?;
        state.operate_whole(Operation::Names, dir)?;
        let id = state.find(dir)?;
        let touches = |change: &NameChange| change.0.iter().any(|(of, ..)| *of == id);
        let (now, later) = std::mem::take(&mut state.unsynced).into_iter().partition(touches);
        state.unsynced = later;
        let now: Vec<NameChange> = now;
        now.iter().for_each(|change| state.apply(&change.0, |_, synced| synced));
        Ok(())
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.open(path, Open::Create).map_err(|cause| LockError::Io { path: path.to_owned(), cause })?;
        let mut state = lock(&self.0);
        if !state.locks.insert(path.to_owned()) {
            return Err(LockError::Held { path: path.to_owned(), pid: 1 });
        }
        Ok(Box::new(FaultyLock { disk: self.clone(), path: path.to_owned(), life: state.life }))
    }

    fn free_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.begin(self.life())?;
        Ok(state.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(state.used_bytes())))
    }

    fn total_bytes(&self, _: &Path) -> io::Result<u64> {
        let state = self.begin(self.life())?;
        Ok(state.capacity_bytes.unwrap_or(u64::MAX))
    }
}

impl DiskFile for FaultyFile {
    fn read_at(&self, buf: &mut [u8], position: u64, wait: Wait) -> io::Result<usize> {
        let mut state = self.disk.begin(self.life)?;
        state.operate_whole(Operation::Read, &self.path)?;
        if wait == Wait::No && state.draw(|odds| odds.cold_reads_per_mille) {
            return Err(ErrorKind::WouldBlock.into());
        }
        let bytes = &state.inode(self.id).written;
        let rest = bytes.get(usize::try_from(position).unwrap_or(usize::MAX)..).unwrap_or_default();
        let read = rest.len().min(buf.len());
        buf[..read].copy_from_slice(&rest[..read]);
        Ok(read)
    }

    fn write_vectored_at(&self, slices: &[IoSlice<'_>], position: u64) -> io::Result<usize> {
        assert!(slices.len() <= 1024, "more than IOV_MAX");
        if !self.writable {
            return Err(ErrorKind::PermissionDenied.into());
        }
        let bytes: Vec<u8> = slices.iter().flat_map(|slice| slice.iter().copied()).collect();
        let mut state = self.disk.begin(self.life)?;
        let fate = state.operate(Operation::Write, &self.path)?;
        let room = state.room_for(self.id, position, bytes.len());
        let is_short = state.draw(|odds| odds.short_writes_per_mille);
        let happens = match fate {
            Fate::Happens if is_short && room > 1 => 1 + state.dice.up_to(room - 1),
            Fate::Happens => room,
            // A write that fails may have written something.
            Fate::Fails(_) | Fate::LastBreath => state.dice.up_to(room + 1),
        };
        let now_ms = state.now_ms;
        let inode = state.inode(self.id);
        inode.write(&bytes[..happens], position);
        inode.modified_ms = now_ms;
        if state.dice.one_in(8) {
            // The kernel writes back when it likes.
            state.write_back(self.id, |_| true);
        }
        match fate {
            Fate::Fails(kind) => Err(kind.into()),
            Fate::LastBreath => Err(io::Error::other("the process stops")),
            Fate::Happens if happens == 0 && !bytes.is_empty() => Err(ErrorKind::StorageFull.into()),
            Fate::Happens => Ok(happens),
        }
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.disk.begin(self.life)?.inode(self.id).written.len() as u64)
    }

    fn set_size(&self, bytes: u64) -> io::Result<()> {
        let mut state = self.disk.begin(self.life)?;
        state.operate_whole(Operation::SetSize, &self.path)?;
        state.inode(self.id).resize(bytes);
        Ok(())
    }

    fn set_modified_ms(&self, ms: i64) -> io::Result<()> {
        let mut state = self.disk.begin(self.life)?;
        state.operate_whole(Operation::SetSize, &self.path)?;
        state.inode(self.id).modified_ms = ms;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.begin(self.life)?;
        let fate = state.operate(Operation::Sync, &self.path)?;
        let State { dice, nodes, .. } = &mut *state;
        let Some(Node::File(inode)) = nodes.get_mut(&self.id) else { unreachable!("a file stays a file") };
        match fate {
            Fate::Happens => inode.sync(),
            Fate::Fails(_) => inode.fail_to_sync(dice),
            Fate::LastBreath => inode.write_back(|_| dice.one_in(2)),
        }
        match fate {
            Fate::Happens => Ok(()),
            Fate::Fails(kind) => Err(kind.into()),
            Fate::LastBreath => Err(io::Error::other("the process stops")),
        }
    }

    fn start_write_back(&self, range: Range<u64>) -> io::Result<()> {
        let mut state = self.disk.begin(self.life)?;
        let there = pages(&range);
        state.write_back(self.id, |page| there.contains(&page));
        Ok(())
    }

    fn allocate(&self, range: Range<u64>) -> io::Result<()> {
        let mut state = self.disk.begin(self.life)?;
        let bytes = (range.end - range.start) as usize;
        if state.room_for(self.id, range.start, bytes) < bytes {
            return Err(ErrorKind::StorageFull.into());
        }
        state.inode(self.id).allocated_bytes = range.end;
        Ok(())
    }

    fn is_resident(&self, _: Range<u64>) -> bool {
        true
    }

    fn raw_fd(&self) -> Option<BorrowedFd<'_>> {
        None
    }
}

impl DiskLock for FaultyLock {}

impl Drop for FaultyLock {
    fn drop(&mut self) {
        let mut state = lock(&self.disk.0);
        if state.life == self.life {
            state.locks.remove(&self.path);
        }
    }
}

fn names_of(path: &Path) -> Vec<String> {
    let name = |part: Component<'_>| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    };
    path.components().filter_map(name).collect()
}
