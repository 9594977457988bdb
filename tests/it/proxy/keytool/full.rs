//! A disk without room.

use std::io::Write;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::caller::get;
use super::super::{Provider, Proxy};
use super::serving::{serve, stop};
use super::{ONE, Tool};

/// A disk of a megabyte below `data`, with what is in `kept`, and nothing free.
const FULL: &str = "mount -t tmpfs -o size=1m none data && cp -p kept/* data && touch data/taken &&
    ! dd if=/dev/zero bs=512 of=data/taken 2> /dev/null";

/// A program on such a disk, that it has to itself.
fn confined(command: &Command) -> Command {
    let inner = command.as_std();
    let mut outer = Command::new("unshare");
    outer
        .args(["-Urm", "sh", "-c", &format!("{FULL}; exec \"$@\""), "sh"])
        .arg(inner.get_program())
        .args(inner.get_args());
    outer.current_dir(inner.get_current_dir().unwrap()).kill_on_drop(true);
    outer.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    outer
}

async fn eventually(proxy: &Proxy, health: &str) {
    let asked = async {
        while get(proxy.address, "/health").await.body != health {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap_or_else(|_| panic!("its health is not {health}"));
}

#[tokio::test]
async fn i12_a_full_disk_keeps_no_proxy_from_starting() {
    let (tool, provider) = (Tool::with(&[&format!("{ONE} label=one")]).await, Provider::start());
    std::fs::rename(tool.path("data"), tool.path("kept")).unwrap();
    std::fs::create_dir(tool.path("data")).unwrap();
    let possible = confined(Command::new("true").current_dir(&tool.folder)).output().await.unwrap();
    if !possible.status.success() {
        return std::io::stdout().write_all(b"NOT TESTED: nobody may mount a small disk here\n").unwrap();
    }
    let mut proxy = Proxy::start(confined(&serve(&tool, &provider, "--mode private"))).await;
    let line = proxy.says("the store cannot be written").await;
    assert!(line.contains("WARN") && line.contains("the store is full"), "{line}");
    for _ in 0..3 {
        assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    }
    eventually(&proxy, r#"{"status":"ok","store":"behind"}"#).await;
    std::fs::remove_file(proxy.sees(&tool.path("data/taken"))).unwrap();
    eventually(&proxy, r#"{"status":"ok"}"#).await;
    assert_eq!(get(proxy.address, "/v1/models").await.status, 200);
    let database = std::fs::read(proxy.sees(&tool.path("data/keys.db-wal"))).unwrap();
    assert!(!database.is_empty());
    let log = stop(proxy).await;
    assert!(
        log.contains("keeps up with the pool again") && log.contains("stored") && !log.contains("not stored"),
        "{log}"
    );
}
