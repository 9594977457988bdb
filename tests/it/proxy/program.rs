//! The program: built if need be, started, asked to stop.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, SystemTime};

use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::{Child, ChildStderr, Command};
use tokio::time::timeout;

use super::Provider;

/// Where cargo puts examples, beside the folder that this test runs from; built anew if a source is younger.
fn path() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        let profile = std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned();
        let program = profile.join("examples").join(format!("proxy{}", std::env::consts::EXE_SUFFIX));
        if is_stale(&program) {
            build(&profile);
        }
        program
    })
}

fn is_stale(program: &Path) -> bool {
    let Ok(built) = program.metadata().and_then(|data| data.modified()) else { return true };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    ["src", "examples/proxy"].iter().any(|folder| youngest(&root.join(folder)) > built)
}

fn youngest(path: &Path) -> SystemTime {
    let own = path.metadata().unwrap().modified().unwrap();
    let Ok(entries) = path.read_dir() else { return own };
    entries.map(|entry| youngest(&entry.unwrap().path())).max().unwrap_or(own)
}

fn build(profile: &Path) {
    let mut cargo = std::process::Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    cargo.args(["build", "--example", "proxy", "--target-dir"]).arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    assert!(cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().unwrap().success());
}

/// The program with these arguments, in an environment without surprises. What it is to remember is said by name.
pub(super) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(path());
    command.args(arguments).kill_on_drop(true);
    if arguments.first() == Some(&"serve") && !arguments.contains(&"--store") {
        command.args(["--store", "memory"]);
    }
    for name in ["RUST_LOG", "KEY_COMMUNE_MASTER_KEY", "ENCRYPTION_KEY"] {
        command.env_remove(name);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A proxy that runs until it is dropped.
pub(super) struct Proxy {
    child: Child,
    log: BufReader<ChildStderr>,
    pub(super) address: SocketAddr,
}

impl Proxy {
    /// In front of this provider, on a free port.
    pub(super) async fn serve(provider: &Provider, options: &[&str]) -> Self {
        let upstream = format!("http://{}", provider.address);
        let base = ["serve", "--listen", "127.0.0.1:0", "--upstream", &upstream];
        Self::start(command(&[&base, options].concat())).await
    }

    pub(super) async fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let line = timeout(Duration::from_secs(20), lines.next_line()).await.unwrap().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        let Some(line) = line else {
            panic!("it did not start: {}", Self { child, log, address: ([0; 4], 0).into() }.stderr().await)
        };
        let address = line.strip_prefix("listening on http://").expect(&line).parse().unwrap();
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Self { child, log, address }
    }

    /// What it says of itself under `/proc/…/status`, in KiB.
    pub(super) fn resident(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse().unwrap()
    }

    /// What it finds there, whatever disks it alone has.
    #[cfg(target_os = "linux")]
    pub(super) fn sees(&self, path: &Path) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.child.id().unwrap()));
        root.join(path.strip_prefix("/").unwrap())
    }

    /// Sends a signal.
    pub(super) fn signal(&self, name: &str) {
        let pid = self.child.id().unwrap().to_string();
        assert!(std::process::Command::new("kill").args(["-s", name, &pid]).status().unwrap().success());
    }

    pub(super) async fn ended(&mut self) -> ExitStatus {
        timeout(Duration::from_secs(10), self.child.wait()).await.expect("it does not end").unwrap()
    }

    /// The next line of its log with these words in it.
    pub(super) async fn says(&mut self, words: &str) -> String {
        let mut line = String::new();
        let read = async {
            while !line.contains(words) {
                line.clear();
                assert_ne!(self.log.read_line(&mut line).await.unwrap(), 0, "it does not say {words:?}");
            }
        };
        timeout(Duration::from_secs(30), read).await.unwrap_or_else(|_| panic!("it does not say {words:?}"));
        line
    }

    /// Everything it wrote there since. Waits for its end.
    pub(super) async fn stderr(mut self) -> String {
        let mut text = String::new();
        self.log.read_to_string(&mut text).await.unwrap();
        text
    }
}
