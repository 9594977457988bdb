//! A store of your own: one JSON file, sealed, and the suite that says whether it does what a store must. No network.
//!
//! ```sh
//! cargo run --example custom_store --features encryption
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what happens")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::io::ErrorKind::NotFound;
use std::path::PathBuf;

use bytes::Bytes;
use key_commune::record::{Change, Record};
use key_commune::secret::{KeyId, Secret};
use key_commune::store::conformance;
use key_commune::store::{Doing, Encrypted, ErrorKind, KeyRing, Loaded, MasterKey, Store, StoreError};
use serde::{Deserialize, Serialize};

/// A file that is read and written as a whole: for one process, and few keys.
struct JsonFile(PathBuf);

#[derive(Default, Serialize, Deserialize)]
struct Contents {
    header: Option<Vec<u8>>,
    keys: BTreeMap<KeyId, Change>,
}

impl JsonFile {
    fn read(&self) -> Result<Contents, StoreError> {
        match fs::read(&self.0) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| self.fault(ErrorKind::Damaged, &error)),
            Err(error) if error.kind() == NotFound => Ok(Contents::default()),
            Err(error) => Err(self.fault(ErrorKind::Unavailable, &error)),
        }
    }

    /// The old file stays until the new one is whole.
    fn save(&self, contents: &Contents) -> Result<(), StoreError> {
        let text = serde_json::to_vec(contents).map_err(|error| self.fault(ErrorKind::Unavailable, &error))?;
        let new = self.0.with_extension("new");
        let saved = fs::write(&new, text).and_then(|()| fs::File::open(&new)?.sync_all());
        let saved = saved.and_then(|()| fs::rename(&new, &self.0));
        saved.map_err(|error| self.fault(ErrorKind::Unavailable, &error))
    }

    fn merge(&self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut contents = self.read()?;
        for change in changes {
            let id = change.id();
            let merged = match contents.keys.remove(&id) {
                Some(known) => known.merge(change),
                None => change,
            };
            contents.keys.insert(id, merged);
        }
        self.save(&contents)
    }

    fn replace(&self, expected: Option<Bytes>, header: &Bytes) -> Result<bool, StoreError> {
        let mut contents = self.read()?;
        let found = contents.header == expected.map(Vec::from);
        if found {
            contents.header = Some(header.to_vec());
            self.save(&contents)?;
        }
        Ok(found)
    }

    fn fault(&self, kind: ErrorKind, error: &dyn Error) -> StoreError {
        StoreError::new(kind, format_args!("{}: {error}", self.0.display()))
    }
}

impl Store for JsonFile {
    fn load(&self) -> Doing<'_, Loaded> {
        Box::pin(async { Ok(Loaded { changes: self.read()?.keys.into_values().collect(), ..Loaded::default() }) })
    }

    fn write(&self, changes: Vec<Change>) -> Doing<'_, ()> {
        Box::pin(async { self.merge(changes) })
    }

    fn flush(&self) -> Doing<'_, ()> {
        Box::pin(async { Ok(()) })
    }

    fn header(&self) -> Doing<'_, Option<Bytes>> {
        Box::pin(async { Ok(self.read()?.header.map(Bytes::from)) })
    }

    fn replace_header(&self, expected: Option<Bytes>, header: Bytes) -> Doing<'_, bool> {
        Box::pin(async move { self.replace(expected, &header) })
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("key-commune-custom-store-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let shown = show(&folder).await;
    fs::remove_dir_all(&folder)?;
    shown
}

async fn show(folder: &std::path::Path) -> Result<(), Box<dyn Error>> {
    let master: MasterKey = "8f0c".repeat(16).parse()?;
    let ring = KeyRing::new(&master);
    let count = std::cell::Cell::new(0);
    let new = async || {
        count.set(count.get() + 1);
        Encrypted::open(JsonFile(folder.join(format!("{}.json", count.get()))), ring.clone()).await
    };
    let reopen = async |store: Encrypted<JsonFile>| Encrypted::open(store.into_inner(), ring.clone()).await;
    conformance::check(new, reopen).await?;
    println!("a sealed JSON file does what a store must");

    let path = folder.join("keys.json");
    let store = Encrypted::open(JsonFile(path.clone()), ring.clone()).await?;
    let secret: Secret = "sk-test-0123456789abcdef".parse()?;
    let record = Record::new(store.pepper().id("openai", &secret), "openai", secret);
    store.write(vec![record.clone().into()]).await?;
    let text = fs::read_to_string(&path)?;
    println!("the file tells the key's form: {}", text.contains(&record.display));
    println!("the file tells the key: {}", text.contains("0123456789"));

    let in_clear = JsonFile(folder.join("clear.json")).write(vec![record.into()]).await;
    println!("a key in clear is written: {}", in_clear.is_ok());
    let other: MasterKey = "0c8f".repeat(16).parse()?;
    let opened = Encrypted::open(JsonFile(path), KeyRing::new(&other)).await;
    println!("another master key: {}", opened.err().ok_or("it was accepted")?);
    Ok(())
}
