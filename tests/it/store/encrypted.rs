//! Attacks 41 to 45 of the security study, and the master key that changes.

use std::collections::HashSet;

use bytes::Bytes;
use key_commune::clock::Timestamp;
use key_commune::origin::Origin;
use key_commune::record::{Change, Kept, Record, Tombstone};
use key_commune::store::conformance;
use key_commune::store::{Encrypted, ErrorKind, KeyRing, MasterKey, MasterKeyError, MemoryStore, Store};
use proptest::prelude::*;

#[cfg(unix)]
use super::folder::Folder;
use super::record;
use crate::support::key;

pub(super) fn master(number: u8) -> MasterKey {
    format!("{number:02x}8f").repeat(16).parse().unwrap()
}

pub(super) fn ring(number: u8) -> KeyRing {
    KeyRing::new(&master(number))
}

pub(super) async fn open(memory: &MemoryStore, ring: KeyRing) -> Encrypted<MemoryStore> {
    Encrypted::open(memory.clone(), ring).await.unwrap()
}

/// A store that the first master key has sealed, with so many records.
pub(super) async fn filled(count: usize) -> MemoryStore {
    let memory = MemoryStore::default();
    let store = open(&memory, ring(1)).await;
    store.write((0..count).map(|number| record(number).into()).collect()).await.unwrap();
    memory
}

pub(super) async fn stored(memory: &MemoryStore) -> Vec<Record> {
    let mut changes = memory.load().await.unwrap().changes;
    changes.sort_by_key(Change::id);
    changes.iter().filter_map(Change::record).cloned().collect()
}

pub(super) fn sealed(record: &Record) -> Bytes {
    record.secret.sealed().unwrap().clone()
}

/// A copy of a store with these records in place of its own.
pub(super) async fn altered(memory: &MemoryStore, records: impl IntoIterator<Item = Record>) -> MemoryStore {
    let copy = MemoryStore::default();
    copy.replace_header(None, memory.header().await.unwrap().unwrap()).await.unwrap();
    copy.write(records.into_iter().map(Change::from).collect()).await.unwrap();
    copy
}

/// How many records open, and how many do not.
async fn counts(memory: &MemoryStore) -> (usize, usize) {
    let loaded = open(memory, ring(1)).await.load().await.unwrap();
    (loaded.changes.len(), loaded.unreadable.len())
}

#[tokio::test]
async fn a_sealed_store_conforms() {
    let new = async || Encrypted::open(MemoryStore::default(), ring(1)).await;
    let reopen = async |store: Encrypted<MemoryStore>| Encrypted::open(store.into_inner(), ring(1)).await;
    conformance::check(new, reopen).await.unwrap();
}

#[tokio::test]
async fn a41_no_sealed_secret_opens_in_another_row() {
    let memory = filled(10).await;
    let records = stored(&memory).await;
    for (one, two) in (0..10).flat_map(|one| (0..one).map(move |two| (one, two))) {
        let mut swapped = records.clone();
        (swapped[one].secret, swapped[two].secret) = (records[two].secret.clone(), records[one].secret.clone());
        let store = open(&altered(&memory, swapped).await, ring(1)).await;
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.changes.len(), 8);
        assert_eq!(HashSet::from_iter(loaded.unreadable), HashSet::from([records[one].id, records[two].id]));
    }
}

#[tokio::test]
async fn a41_i1_no_secret_opens_where_its_row_was_edited() {
    let memory = filled(1).await;
    let edited = |edit: fn(&mut Record)| {
        let memory = memory.clone();
        async move {
            let mut edited = stored(&memory).await.remove(0);
            edit(&mut edited);
            counts(&altered(&memory, [edited]).await).await
        }
    };
    let refused = (0, 1);
    assert_eq!(edited(|record| record.origin = Origin::parse("https://evil.example").ok()).await, refused);
    assert_eq!(edited(|record| record.provider = "anthropic".into()).await, refused);
    assert_eq!(edited(|record| record.provider.push_str("https://evil.example")).await, refused, "run together");
    assert_eq!(edited(|record| record.id = super::record(7).id).await, refused);
    assert_eq!(edited(|record| record.secret = Kept::Plain(key(9).parse().unwrap())).await, refused, "in clear");
    let harmless = |record: &mut Record| (record.label, record.version) = (Some("a label".into()), 9);
    assert_eq!(edited(harmless).await, (1, 0), "what an operator may edit");
    let chosen = |record: &mut Record| (record.traits.tier, record.traits.group) = (7, Some("acct-b".into()));
    assert_eq!(edited(chosen).await, (1, 0), "it says nothing about where a key is sent");
}

#[tokio::test]
async fn a42_no_truncation_and_no_flipped_bit_opens() {
    let memory = filled(1).await;
    let original = stored(&memory).await.remove(0);
    let bytes = sealed(&original);
    assert_eq!(bytes.len(), key(0).len() + 33, "format, ring id, nonce and tag, no more");
    let flipped = (0..bytes.len() * 8).map(|bit| {
        let mut flipped = bytes.to_vec();
        flipped[bit / 8] ^= 1 << (bit % 8);
        flipped
    });
    let cut = (0..bytes.len()).flat_map(|len| [bytes[..len].to_vec(), bytes[bytes.len() - len..].to_vec()]);
    for forged in flipped.chain(cut).chain([[&bytes[..], &[0]].concat()]) {
        let mut record = original.clone();
        record.secret = Kept::Sealed(forged.into());
        assert_eq!(counts(&altered(&memory, [record]).await).await, (0, 1));
    }
    assert_eq!(counts(&altered(&memory, [original]).await).await, (1, 0));
}

proptest! {
    #[test]
    fn a42_garbage_is_refused_and_does_not_panic(garbage in prop::collection::vec(any::<u8>(), 0..200), head in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let memory = filled(1).await;
            let mut record = stored(&memory).await.remove(0);
            let known = if head { sealed(&record).slice(..5) } else { Bytes::new() };
            record.secret = Kept::Sealed([&known[..], &garbage].concat().into());
            assert_eq!(counts(&altered(&memory, [record]).await).await, (0, 1));
            let damaged = MemoryStore::default();
            damaged.replace_header(None, [&known[..], &garbage].concat().into()).await.unwrap();
            assert!(Encrypted::open(damaged, ring(1)).await.is_err());
        });
    }
}

fn bytes(hex: &str) -> Bytes {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// Made by another implementation of HKDF and AES-GCM, from the description of the form alone.
#[tokio::test]
async fn the_sealed_form_is_what_it_is_said_to_be() {
    let header = "01048b5266000102030405060708090a0b8d8d48b47bf1421a9cdef4b3054f379ee926a69fc25daf6e5e2804bdb9f1884e9ce83548\
                  e8b92e47352777cf2a62da8222";
    let text = "01048b5266000102030405060708090a0b1a8240e846c5903eb11c517fa101228a5b77d0a6ce8b9d3122ea69723dcb11a6e71e1e93\
                63d15fd8";
    let mut record = record(0);
    record.id = "000102030405060708090a0b0c0d0e0f".parse().unwrap();
    record.origin = Some(Origin::plain("http://10.0.0.5:8080/v1").unwrap());
    record.secret = Kept::Sealed(bytes(text));
    let memory = MemoryStore::default();
    memory.replace_header(None, bytes(header)).await.unwrap();
    memory.write(vec![record.into()]).await.unwrap();
    let store = open(&memory, ring(1)).await;
    let loaded = store.load().await.unwrap();
    let secret = loaded.changes[0].record().unwrap().secret.plain().unwrap().clone();
    assert_eq!(secret.expose(), "sk-test-0123456789abcdef");
    assert_eq!(store.pepper().id("openai", &secret).to_string(), "138e40284c9524d11044882aa9f90131");
    assert_eq!(ring(1).ids().next().unwrap().to_string(), "048b5266");
}

#[tokio::test]
async fn a43_every_seal_has_a_nonce_of_its_own() {
    let mut nonces = HashSet::new();
    for _ in 0..50 {
        let memory = filled(20).await;
        for record in stored(&memory).await {
            assert!(nonces.insert(sealed(&record).slice(5..17)));
        }
    }
}

#[tokio::test]
async fn i3_a_wrong_master_key_is_refused_by_name_before_anything_is_read() {
    let memory = filled(3).await;
    let before = (memory.load().await.unwrap(), memory.header().await.unwrap());
    let error = Encrypted::open(memory.clone(), ring(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    let missing = ring(1).ids().next().unwrap();
    assert!(error.to_string().ends_with(&format!("the master key {missing} is missing")), "{error}");
    let after = (memory.load().await.unwrap(), memory.header().await.unwrap());
    assert_eq!(sorted(after.0.changes), sorted(before.0.changes));
    assert_eq!(after.1, before.1, "nothing is changed");
}

fn sorted(mut changes: Vec<Change>) -> Vec<Change> {
    changes.sort_by_key(Change::id);
    changes
}

#[tokio::test]
async fn a45_there_is_no_way_back_to_clear_text() {
    let memory = MemoryStore::default();
    memory.write(vec![record(1).into()]).await.unwrap();
    let error = Encrypted::open(memory.clone(), ring(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey, "records in clear are not taken over in silence");
    assert_eq!(memory.header().await.unwrap(), None);
    let headless = MemoryStore::default();
    headless.write(stored(&filled(1).await).await.into_iter().map(Change::from).collect()).await.unwrap();
    assert!(Encrypted::open(headless.clone(), ring(1)).await.is_err(), "nor those of a store that lost its header");
    assert_eq!(headless.header().await.unwrap(), None);
    let emptied = MemoryStore::default();
    emptied.write(vec![Tombstone { id: record(1).id, generation: 0, at: Timestamp::ZERO }.into()]).await.unwrap();
    assert!(Encrypted::open(emptied, ring(1)).await.is_ok(), "removed keys have no secrets");
}

#[test]
fn a45_what_is_no_master_key_is_refused() {
    let digits = "8f0c".repeat(16);
    assert!(digits.parse::<MasterKey>().is_ok() && digits.to_uppercase().parse::<MasterKey>().is_ok());
    let table = [
        (String::new(), MasterKeyError::Length(0)),
        (digits[1..].into(), MasterKeyError::Length(63)),
        (format!("{digits}0"), MasterKeyError::Length(65)),
        (format!("+{}", &digits[1..]), MasterKeyError::Digit),
        (format!("é{}", &digits[2..]), MasterKeyError::Digit),
        ("0".repeat(64), MasterKeyError::Weak),
        ("ab".repeat(32), MasterKeyError::Weak),
    ];
    for (text, error) in table {
        assert_eq!(text.parse::<MasterKey>().unwrap_err(), error, "{text}");
    }
}

#[cfg(unix)]
#[test]
fn a48_a_key_file_is_for_its_owner_only() {
    use std::fs::{Permissions, read_to_string, set_permissions, write};
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.path().join("master.key");
    let made = MasterKey::create(&path).unwrap();
    let ids = |key: &MasterKey| KeyRing::new(key).ids().next();
    assert_eq!(ids(&MasterKey::read(&path).unwrap()), ids(&made));
    assert_eq!(ids(&read_to_string(&path).unwrap().trim_end().parse().unwrap()), ids(&made));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let exists = MasterKeyError::File(std::io::ErrorKind::AlreadyExists);
    assert_eq!(MasterKey::create(&path).unwrap_err(), exists, "never written over");
    for mode in [0o640, 0o604, 0o620, 0o601] {
        set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        assert_eq!(MasterKey::read(&path).unwrap_err(), MasterKeyError::Exposed, "{mode:o}");
    }
    set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    write(&path, "x".repeat(100_000)).unwrap();
    assert_eq!(MasterKey::read(&path).unwrap_err(), MasterKeyError::Length(256), "read no farther");
    let missing = MasterKey::read(folder.path().join("none")).unwrap_err();
    assert_eq!(missing, MasterKeyError::File(std::io::ErrorKind::NotFound));
}

#[tokio::test]
async fn i3_neither_rings_nor_stores_print_their_keys() {
    let ring = ring(1).older(&master(2));
    let store = open(&MemoryStore::default(), ring.clone()).await;
    for text in [format!("{ring:?}"), format!("{store:?}"), format!("{:?}", master(1))] {
        for form in ["018f018f", "1, 143, 1, 143", r"\x01\x8f\x01\x8f"] {
            assert!(!text.contains(form), "{text}");
        }
    }
}

#[tokio::test]
async fn a44_any_key_of_the_ring_opens_and_the_newest_seals() {
    let memory = filled(2).await;
    let both = KeyRing::new(&master(2)).older(&master(1));
    let store = open(&memory, both.clone()).await;
    store.write(vec![record(2).into()]).await.unwrap();
    let loaded = store.load().await.unwrap();
    assert_eq!((loaded.changes.len(), loaded.unreadable.len()), (3, 0));
    let seals: HashSet<_> = stored(&memory).await.iter().map(|record| sealed(record).slice(1..5)).collect();
    assert_eq!(seals.len(), 2);
    assert_eq!(store.pepper().id("openai", &key(0).parse().unwrap()), pepper_id(&memory, both).await);
}

pub(super) async fn pepper_id(memory: &MemoryStore, ring: KeyRing) -> key_commune::secret::KeyId {
    open(memory, ring).await.pepper().id("openai", &key(0).parse().unwrap())
}

#[tokio::test]
async fn a44_the_old_key_is_needed_until_all_is_sealed_anew_and_ids_stay() {
    let memory = filled(2_500).await;
    let before = pepper_id(&memory, ring(1)).await;
    let store = open(&memory, KeyRing::new(&master(2)).older(&master(1))).await;
    assert!(Encrypted::open(memory.clone(), ring(2)).await.is_err(), "still in use");
    let mut told = Vec::new();
    let resealed = store.reseal(|progress| told.push((progress.done, progress.left))).await.unwrap();
    assert_eq!(told, [(1_000, 1_500), (2_000, 500), (2_500, 0)]);
    assert_eq!((resealed.done, resealed.left, resealed.unreadable), (2_500, 0, 0));
    let new = open(&memory, ring(2)).await.load().await.unwrap();
    assert_eq!((new.changes.len(), new.unreadable.len()), (2_500, 0));
    assert_eq!(pepper_id(&memory, ring(2)).await, before);
    let error = Encrypted::open(memory.clone(), ring(1)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WrongKey);
    assert_eq!(store.reseal(|_| {}).await.unwrap().done, 0, "nothing is left to do");
    // And back: which of two keys is the newer one is not a matter of their names.
    open(&memory, KeyRing::new(&master(1)).older(&master(2))).await.reseal(|_| {}).await.unwrap();
    assert_eq!(counts(&memory).await, (2_500, 0));
}

#[tokio::test]
async fn a44_sealing_anew_goes_on_where_it_was_interrupted_and_undoes_nothing() {
    let memory = filled(1_500).await;
    let both = || KeyRing::new(&master(2)).older(&master(1));
    let store = open(&memory, both()).await;
    let killed = tokio::spawn(async move { store.reseal(|_| panic!("killed")).await });
    assert!(killed.await.unwrap_err().is_panic());
    // Meanwhile a replica that has the old key as its newest writes what it has learned.
    let mut struck = record(0);
    (struck.version, struck.condition.throttles) = (1, 3);
    let gone = Tombstone { id: record(1).id, generation: 0, at: Timestamp::ZERO };
    open(&memory, KeyRing::new(&master(1)).older(&master(2)))
        .await
        .write(vec![struck.into(), gone.into()])
        .await
        .unwrap();
    let resealed = open(&memory, both()).await.reseal(|_| {}).await.unwrap();
    assert!((499..=502).contains(&resealed.done), "{resealed:?}");
    let loaded = open(&memory, ring(2)).await.load().await.unwrap();
    assert_eq!((loaded.changes.len(), loaded.unreadable.len()), (1_500, 0));
    let found = |number: usize| loaded.changes.iter().find(|change| change.id() == record(number).id).unwrap();
    assert_eq!(found(0).record().unwrap().condition.throttles, 3);
    assert_eq!(found(1), &Change::from(gone));
}

#[tokio::test]
async fn i12_whoever_opens_and_seals_lets_others_have_the_thread() {
    let turns = std::rc::Rc::new(std::cell::Cell::new(0));
    let others = async {
        loop {
            turns.set(turns.get() + 1);
            tokio::task::yield_now().await;
        }
    };
    let work = async {
        let store = open(&filled(1_000).await, ring(1)).await;
        let sealed = turns.get();
        assert!(sealed >= 7, "{sealed}");
        let loaded = store.load().await.unwrap();
        assert_eq!(loaded.changes.len(), 1_000);
        assert!(turns.get() >= sealed + 7, "{}", turns.get());
    };
    tokio::select! {
        biased;
        () = others => {}
        () = work => {}
    }
}
