//! `proxy keys`, as a process of its own, in a folder of its own.

mod failures;
#[cfg(target_os = "linux")]
mod full;
mod importing;
mod predecessor;
mod rotating;
mod serving;
mod setting;
mod states;
mod words;

use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use super::program::command;

const ONE: &str = "sk-secret-one-0123456789";
const TWO: &str = "sk-secret-two-0123456789";

/// The tool in a folder that is gone when it is dropped.
struct Tool {
    folder: PathBuf,
    environment: Vec<(&'static str, String)>,
}

impl Tool {
    fn new() -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("keytool-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Self { folder, environment: Vec::new() }
    }

    /// With these keys in the store.
    async fn with(keys: &[&str]) -> Self {
        let tool = Self::new();
        tool.import(&keys.join("\n")).await;
        tool
    }

    fn set(&mut self, name: &'static str, value: &str) {
        self.environment.push((name, value.into()));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), content).unwrap();
    }

    async fn output(&self, arguments: &str, input: &str) -> Output {
        self.output_of(&arguments.split_whitespace().collect::<Vec<_>>(), input).await
    }

    async fn output_of(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = command(&[&["keys"], arguments].concat());
        command.current_dir(&self.folder).envs(self.environment.iter().cloned()).stdin(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // Who does not read it may have ended before.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        child.wait_with_output().await.unwrap()
    }

    /// Ends with this status. What it says, on stdout and on stderr.
    async fn ends(&self, status: i32, arguments: &str, input: &str) -> (String, String) {
        let output = self.output(arguments, input).await;
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let (out, told) = (text(output.stdout), text(output.stderr));
        assert_eq!(output.status.code(), Some(status), "{arguments}: {out}{told}");
        assert!(!told.contains("sk-secret"), "{arguments}: {told}");
        (out, told)
    }

    /// What it says on stdout when all is well.
    async fn says(&self, arguments: &str) -> String {
        self.ends(0, arguments, "").await.0
    }

    /// The one line that it says when it does nothing.
    async fn refuses(&self, arguments: &str) -> String {
        let (out, told) = self.ends(2, arguments, "").await;
        assert!(out.is_empty(), "{arguments}: {out}");
        assert_eq!(told.lines().count(), 1, "{arguments}: {told}");
        told
    }

    async fn import(&self, lines: &str) -> String {
        self.ends(0, "import -", lines).await.0
    }

    async fn list(&self) -> Vec<Value> {
        serde_json::from_str(&self.says("list --json").await).unwrap()
    }

    /// What is known of the one key that begins so, which has a form like `sk-s..6789`.
    async fn key(&self, label: &str) -> Value {
        self.list().await.into_iter().find(|key| key["label"] == label).expect(label)
    }

    async fn id(&self, label: &str) -> String {
        self.key(label).await["id"].as_str().unwrap().to_owned()
    }
}

impl Drop for Tool {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
