//! `meta.properties` of a log directory: which cluster, node and directory it is.

use std::path::Path;

use ottla_base::Uuid;

use super::{read, write};
use crate::LogError;
use crate::disk::Disk;

pub const FILE: &str = "meta.properties";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meta {
    pub cluster_id: String,
    pub node_id: i32,
    pub directory_id: Uuid,
}

/// # Errors
/// Also if the file is there and cannot be understood: whose data this is cannot be guessed.
pub fn load(disk: &dyn Disk, dir: &Path) -> Result<Option<Meta>, LogError> {
    let path = dir.join(FILE);
    let Some(bytes) = read(disk, &path)? else { return Ok(None) };
    let what = "it must have version=1, cluster.id, node.id and directory.id";
    parse(&bytes).map(Some).ok_or(LogError::Corrupt { path, position: 0, what })
}

pub fn store(disk: &dyn Disk, dir: &Path, meta: &Meta) -> Result<(), LogError> {
    write(disk, &dir.join(FILE), format(meta).as_bytes())
}

fn format(meta: &Meta) -> String {
    let Meta { cluster_id, node_id, directory_id } = meta;
    format!("#\nnode.id={node_id}\ndirectory.id={directory_id}\nversion=1\ncluster.id={cluster_id}\n")
}

fn parse(bytes: &[u8]) -> Option<Meta> {
    let (mut version, mut cluster_id, mut node_id, mut directory_id) = (None, None, None, None);
    for line in std::str::from_utf8(bytes).ok()?.lines().map(str::trim) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (key, value) = line.split_once('=')?;
        match key.trim_end() {
            "version" => version = Some(value.trim()),
            "cluster.id" => cluster_id = Some(unescaped(value.trim())),
            "node.id" => node_id = Some(value.trim().parse().ok()?),
            "directory.id" => directory_id = Some(value.trim().parse().ok()?),
            _ => {}
        }
    }
    version.filter(|version| *version == "1")?;
    Some(Meta { cluster_id: cluster_id?, node_id: node_id?, directory_id: directory_id? })
}

/// Java writes a backslash before some signs, such as colons.
fn unescaped(value: &str) -> String {
    let mut signs = value.chars();
    std::iter::from_fn(|| match signs.next() {
        Some('\\') => signs.next(),
        sign => sign,
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_kafka_writes() {
        let text = "#\n#Thu Nov 26 03:00:00 UTC 2026\nnode.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nversion=1\ncluster.id=MkU3OEVBNTcwNTJENDM2Qg\n";
        let meta = Meta { cluster_id: "MkU3OEVBNTcwNTJENDM2Qg".into(), node_id: 1, directory_id: Uuid::METADATA_TOPIC };
        assert_eq!(parse(text.as_bytes()), Some(meta.clone()));
        assert_eq!(parse(format(&meta).as_bytes()), Some(meta));
        let text = "node.id=1\ndirectory.id=AAAAAAAAAAAAAAAAAAAAAQ\nversion=1\ncluster.id=a\\:b\\\\c\n";
        assert_eq!(parse(text.as_bytes()).unwrap().cluster_id, "a:b\\c");
        for text in ["", "version=0\nnode.id=1", "version=1\nnode.id=x"] {
            assert_eq!(parse(text.as_bytes()), None, "{text:?}");
        }
    }
}
