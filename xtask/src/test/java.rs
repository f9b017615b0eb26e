//! Kafka's own jars, by Maven from `compat/java/pom.xml` into `target/`, and our Java program compiled against them.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Place;
use super::command::{quietly, version};
use super::tally::Trouble;

/// Kafka's tools are compiled for Java 17.
const OLDEST: u32 = 17;

pub(super) struct Java {
    class_path: String,
    sample: PathBuf,
}

impl Java {
    /// Does nothing where jars and classes are already what is asked for.
    pub fn set_up(place: &Place) -> Result<Java, Trouble> {
        let found = version("javac", "-version").ok_or_else(|| Trouble::Skipped("no javac".into()))?;
        if major_version(&found).is_none_or(|version| version < OLDEST) {
            return Err(Trouble::Skipped(format!("{found} is older than {OLDEST}")));
        }
        let sources = place.root.join("compat/java");
        let jars = jars(&place.root, &place.target)?;
        let classes = place.compat().join("java/classes");
        let java = Java {
            class_path: format!("{}:{}/*", classes.display(), jars.display()),
            sample: place.root.join("compat/sample.tsv"),
        };
        let files = java_files(&sources.join("src"))?;
        let texts: Vec<String> = files.iter().map(|file| read(file)).collect::<Result<_, _>>()?;
        unless_stamped(&classes, &format!("{found}\n{}", texts.concat()), || {
            quietly(Command::new("javac").arg("-d").arg(&classes).args(["-cp", &java.class_path]).args(&files))
        })?;
        Ok(java)
    }

    /// The checks of clients and tools against a broker.
    pub fn program(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = self.java("Compat");
        command.arg("--sample").arg(&self.sample).args(arguments);
        command
    }

    /// A directory that this `server` and Apache Kafka open in turn, below `folder`.
    pub fn round_trip(&self, server: &Path, folder: &Path) -> Command {
        let mut command = self.java("RoundTrip");
        command.arg("--server").arg(server).arg("--dir").arg(folder);
        command
    }

    /// The second compiler is off: most of its life a program starts.
    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(["-Xmx512m", "-XX:TieredStopAtLevel=1", "-cp", &self.class_path, class]);
        command
    }
}

/// The folder of Kafka's jars, and of what they need.
pub fn jars(root: &Path, target: &Path) -> Result<PathBuf, Trouble> {
    let (pom, jars) = (root.join("compat/java/pom.xml"), target.join("compat/java/jars"));
    unless_stamped(&jars, &read(&pom)?, || {
        if version("mvn", "--version").is_none() {
            return Err(Trouble::Skipped("no mvn".into()));
        }
        let to = format!("-DoutputDirectory={}", jars.display());
        let mut maven = Command::new("mvn");
        maven.args(["--quiet", "--batch-mode", "--file"]).arg(&pom);
        quietly(maven.args(["dependency:copy-dependencies", &to]))
    })?;
    Ok(jars)
}

/// Fills a folder anew, unless it was filled from the same `wanted` before.
fn unless_stamped(folder: &Path, wanted: &str, fill: impl FnOnce() -> Result<(), Trouble>) -> Result<(), Trouble> {
    let stamp = folder.with_extension("stamp");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    let failed = |e: std::io::Error| Trouble::Failed(format!("{}: {e}", folder.display()));
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(failed)?;
    }
    fs::create_dir_all(folder).map_err(failed)?;
    fill()?;
    fs::write(&stamp, wanted).map_err(failed)
}

fn java_files(folder: &Path) -> Result<Vec<PathBuf>, Trouble> {
    let entries = fs::read_dir(folder).map_err(|e| Trouble::Failed(format!("{}: {e}", folder.display())))?;
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|e| e == "java"));
    files.sort();
    Ok(files)
}

fn read(file: &Path) -> Result<String, Trouble> {
    fs::read_to_string(file).map_err(|e| Trouble::Failed(format!("{}: {e}", file.display())))
}

/// Of `javac 17.0.15`.
fn major_version(text: &str) -> Option<u32> {
    text.rsplit(' ').next()?.split(['.', '-']).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(major_version("javac 17.0.15"), Some(17));
        assert_eq!(major_version("javac 25-ea"), Some(25));
        assert_eq!(major_version("javac 1.8.0_412"), Some(1));
    }
}
