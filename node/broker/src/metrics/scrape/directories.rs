//! Log directories, and the disks under them.

use std::sync::Arc;

use ottla_observe::{Labels, Text};

use super::families::directories::*;
use super::{Sources, none};
use crate::directory::Directory;
use crate::directory::report::cordoned;
use crate::metrics::measure::{MICROS, named};

pub fn write(text: &mut Text, Sources { broker, .. }: &Sources) {
    let published = broker.published.load_full();
    let (directories, flushes) = (&broker.directories, &broker.metrics.flushes_us);
    let times = named(&flushes.recent(broker.rt.mono_us()), MICROS);
    text.summary(&KAFKA_LOG_LOGFLUSHSTATS_LOGFLUSHRATEANDTIMEMS, [(&none(), flushes.count(), times)]);
    let labels = |path: &str| Labels::of(OTTLA_DISK_FREE_BYTES.labels, &[path]);
    let opened: Vec<_> = directories.iter().map(|directory| (labels(&directory.shown()), directory)).collect();
    let all = |of: fn(&Directory) -> u64| opened.iter().map(move |(labels, directory)| (labels, of(directory)));
    text.family(&OTTLA_LOG_DIRTY_BYTES, all(|directory| directory.flushing.dirty_bytes_and_max().0));
    text.family(&OTTLA_LOG_DIRTY_BYTES_MAX, all(|directory| directory.flushing.dirty_bytes_and_max().1));
    text.family(&OTTLA_DISK_FULL, all(|directory| directory.room.is_full().into()));
    let free = |(labels, directory): &(Labels, &Arc<Directory>)| {
        Some((labels.clone(), directory.log_dir.disk().free_bytes(directory.path()).ok()?))
    };
    let free: Vec<_> = opened.iter().filter_map(free).collect();
    text.family(&OTTLA_DISK_FREE_BYTES, free.iter().map(|(labels, free)| (labels, *free)));
    let unopened = directories.unopened().iter().map(|unopened| (labels(&unopened.shown()), true));
    let offline = opened.iter().map(|(labels, directory)| (labels.clone(), directory.has_failed()));
    let offline: Vec<_> = offline.chain(unopened).collect();
    let rows = offline.iter().map(|(labels, is_offline)| (labels, *is_offline));
    text.family(&KAFKA_LOG_LOGMANAGER_LOGDIRECTORYOFFLINE, rows);
    text.single(&KAFKA_LOG_LOGMANAGER_OFFLINELOGDIRECTORYCOUNT, directories.offline_count());
    let cordoned = cordoned(directories, &broker.config, &published.image);
    text.single(&KAFKA_LOG_LOGMANAGER_CORDONEDLOGDIRECTORYCOUNT, cordoned.len());
    let rows = opened.iter().map(|(labels, directory)| (labels, cordoned.contains(&directory.id)));
    text.family(&KAFKA_LOG_LOGMANAGER_LOGDIRECTORYCORDONED, rows);
}
