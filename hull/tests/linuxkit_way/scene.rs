//! A folder, and `hull` run in it with nothing of this machine's.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

pub(crate) struct Scene(tempfile::TempDir);

impl Scene {
    pub(crate) fn new() -> Self {
        let scene = Self(tempfile::tempdir().unwrap());
        for arch in ["x86_64", "aarch64"] {
            for program in ["init", "runc-shim"] {
                scene.write(&format!("guest/{arch}/{program}"), "a program");
            }
        }
        scene
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(crate) fn hull(&self) -> Command {
        let mut hull = Command::new(env!("CARGO_BIN_EXE_hull"));
        hull.current_dir(self.0.path())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HULL_STORE", self.path("store"))
            .env("HULL_GUEST", self.path("guest"))
            .env("HULL_OFFLINE", "1");
        hull
    }

    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.hull().args(args).output().unwrap()
    }

    /// Runs it and expects success; its standard output.
    pub(crate) fn ok(&self, args: &[&str]) -> String {
        good(args, self.run(args))
    }

    /// The same, with something on its standard input.
    pub(crate) fn ok_with(&self, args: &[&str], input: impl AsRef<[u8]>) -> String {
        let mut command = self.hull();
        command.args(args).stdin(Stdio::piped());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(input.as_ref())
            .unwrap();
        good(args, child.wait_with_output().unwrap())
    }

    /// Runs it and expects exit code 1 and one line, which is returned.
    pub(crate) fn fails(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
        errors
    }

    /// What another program of this machine says.
    pub(crate) fn tool(&self, program: &str, args: &[&str]) -> String {
        let mut command = Command::new(program);
        command.args(args).current_dir(Path::new(self.0.path()));
        good(args, command.output().unwrap())
    }
}

fn good(args: &[&str], output: Output) -> String {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}
