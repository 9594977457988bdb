//! A pool that outlives its process: restored from a sealed SQLite database, written behind its requests. No network.
//!
//! ```sh
//! cargo run --example kept_pool --features encryption,sqlite
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::error::Error;
use std::fs;
use std::path::Path;
use std::time::Duration;

use key_commune::health::Penalties;
use key_commune::keeper::Keeper;
use key_commune::store::{Encrypted, KeyRing, MasterKey, SqliteStore};
use key_commune::{Key, KeyPool, Provider};

/// What a process does at its start.
async fn start(folder: &Path) -> Result<(KeyPool, Keeper), Box<dyn Error>> {
    let file = folder.join("master.key");
    let master = if file.exists() { MasterKey::read(&file)? } else { MasterKey::create(&file)? };
    let store = Encrypted::open(SqliteStore::open(folder.join("keys.db"))?, KeyRing::new(&master)).await?;
    // Key ids are made with the store's pepper, so that they are the same after every start.
    let pool = KeyPool::builder(Provider::OPENAI).penalties(Penalties::default().jitter(false)).pepper(store.pepper());
    let pool = pool.build()?;
    let keeper = Keeper::open(&pool, store).await?;
    println!("{}, {} active", keeper.restored(), pool.snapshot().active());
    Ok((pool, keeper))
}

async fn show(folder: &Path) -> Result<(), Box<dyn Error>> {
    let (pool, keeper) = start(folder).await?;
    let busy = pool.add(Key::new("sk-busy-0123456789abcdef")?.label("busy"))?;
    let lost = pool.add(Key::new("sk-lost-0123456789abcdef")?)?;
    pool.add(Key::new("sk-good-0123456789abcdef")?)?;
    pool.block(busy, pool.now() + Duration::from_secs(3_600));
    pool.remove(lost);
    // Whoever cannot lose anything that has happened so far, waits for it to be on the disk.
    keeper.flush().await?;
    println!("{} to be written", keeper.status().pending);
    keeper.close().await?;

    let (pool, keeper) = start(folder).await?;
    let mut members = pool.snapshot().members;
    members.sort_by(|one, other| one.key.cmp(&other.key));
    for member in members {
        println!("{} {}", member.key, member.state);
    }
    keeper.close().await?;

    let wrong = KeyRing::new(&"0c8f".repeat(16).parse()?);
    let refused = Encrypted::open(SqliteStore::open(folder.join("keys.db"))?, wrong).await;
    println!("another master key is accepted: {}", refused.is_ok());
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("key-commune-kept-pool-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let shown = show(&folder).await;
    fs::remove_dir_all(&folder)?;
    shown
}
