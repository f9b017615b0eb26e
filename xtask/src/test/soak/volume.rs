//! A disk that can be full: small, in memory, and of nobody else's.
//!
//! It lives in a mount namespace of its own, which needs no rights and leaves nothing behind: when the last process in it has
//! ended, it is gone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::failed;
use crate::test::command::quietly;
use crate::test::tally::Trouble;

pub struct Volume {
    /// Keeps the namespace alive.
    holder: Child,
    path: PathBuf,
}

impl Volume {
    /// Mounts one of so many MiB on the folder, for those that are started by [`Volume::program`].
    pub fn mount(path: &Path, mib: u32) -> Result<Volume, Trouble> {
        std::fs::create_dir_all(path).map_err(failed("the folder of the disk"))?;
        let script = format!("mount -t tmpfs -o size={mib}m tmpfs \"$0\" && echo mounted && exec cat");
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "sh", "-c", &script]).arg(path);
        let unable = |e: std::io::Error| Trouble::Skipped(format!("no unshare: {e}"));
        let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().map_err(unable)?;
        let mut output = BufReader::new(holder.stdout.take().expect("it was asked for"));
        let volume = Volume { holder, path: path.into() };
        let mut line = String::new();
        output.read_line(&mut line).map_err(failed("the disk"))?;
        match line.trim() {
            "mounted" => Ok(volume),
            _ => Err(Trouble::Skipped("the system lets us mount no disk in memory".into())),
        }
    }

    pub fn resize(&self, mib: u32) -> Result<(), Trouble> {
        quietly(self.program(Path::new("mount")).args(["-o", &format!("remount,size={mib}m")]).arg(&self.path))
    }

    /// A program that sees the disk; it becomes the process that is started.
    pub fn program(&self, program: &Path) -> Command {
        let mut command = Command::new("nsenter");
        let target = self.holder.id().to_string();
        command.args(["--user", "--preserve-credentials", "--mount", "--target", &target]).arg(program);
        command
    }
}

impl Drop for Volume {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
