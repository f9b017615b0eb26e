//! A Python with the clients of `compat/python/requirements.txt`, in an environment of its own below `target/`.

use std::ffi::OsStr;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use super::Place;
use super::command::{quietly, version};
use super::tally::Trouble;

/// asyncio.timeout came with 3.11.
const OLDEST: (u32, u32) = (3, 11);

pub struct Python {
    pub program: PathBuf,
    runner: PathBuf,
}

impl Python {
    /// Does nothing where the environment is already what is asked for.
    pub fn set_up(place: &Place) -> Result<Python, Trouble> {
        let found = version("python3", "--version").ok_or_else(|| Trouble::Skipped("no python3".into()))?;
        if minor_version(&found).is_none_or(|version| version < OLDEST) {
            return Err(Trouble::Skipped(format!("{found} is older than {}.{}", OLDEST.0, OLDEST.1)));
        }
        let folder = place.compat().join("python");
        let scripts = place.root.join("compat/python");
        let python = Python { program: folder.join("bin/python"), runner: scripts.join("run.py") };
        let failed = |e: std::io::Error| Trouble::Failed(format!("{}: {e}", folder.display()));
        let requirements = scripts.join("requirements.txt");
        let wanted = format!("# {found}\n{}", fs::read_to_string(&requirements).map_err(failed)?);
        let stamp = folder.join("installed");
        if fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
            return Ok(python);
        }
        fs::create_dir_all(&folder).map_err(failed)?;
        if quietly(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder)).is_err() {
            return Err(Trouble::Skipped(format!("{found} has no venv module that works (Debian: python3-venv)")));
        }
        let pip = [
            "-m",
            "pip",
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--only-binary",
            ":all:",
            "--requirement",
        ];
        quietly(Command::new(&python.program).args(pip).arg(&requirements))?;
        fs::write(&stamp, wanted).map_err(failed)?;
        Ok(python)
    }

    /// The runner of the Python tests.
    pub fn runner(&self, arguments: &[impl AsRef<OsStr>]) -> Command {
        let mut command = Command::new(&self.program);
        command.env("PYTHONDONTWRITEBYTECODE", "1").arg(&self.runner).args(arguments);
        command
    }
}

/// Of `Python 3.11.7`.
fn minor_version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.rsplit(' ').next()?.split('.').map_while(|part| part.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(minor_version("Python 3.11.7"), Some((3, 11)));
        assert_eq!(minor_version("Python 3.13.0rc1"), Some((3, 13)));
        assert_eq!(minor_version("Python"), None);
        assert!((3, 9) < OLDEST && (4, 0) > OLDEST);
    }
}
