//! What others have changed in a database.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Weak;
use std::sync::mpsc::Sender;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot::Receiver;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::load::{Find, everything};
use super::{Job, ask, closed, fault};
use crate::store::{Doing, Loaded, StoreError, Watch};

/// How often the database is asked, which costs it a few microseconds.
const PAUSE: Duration = Duration::from_millis(200);

/// Asks again and again. Holds nothing that keeps the database open.
pub(super) struct News {
    path: PathBuf,
    jobs: Weak<Sender<Job>>,
    /// Where the news were that have been told.
    since: Option<i64>,
    pause: Option<Interval>,
    /// A question outlives the one who waits for its answer, else the answer would be lost with him.
    asked: Option<Receiver<rusqlite::Result<(i64, Loaded)>>>,
}

impl News {
    /// From now on.
    pub(super) fn new(path: PathBuf, jobs: Weak<Sender<Job>>) -> Self {
        let mut news = Self { path, jobs, since: None, pause: None, asked: None };
        news.ask();
        news
    }

    fn ask(&mut self) {
        let since = self.since;
        self.asked = self.jobs.upgrade().map(|jobs| ask(&jobs, move |database| database.news(since)));
    }

    async fn answer(&mut self) -> Result<Loaded, StoreError> {
        if self.asked.is_none() {
            self.pause().await;
            self.ask();
        }
        let asked = self.asked.as_mut().ok_or_else(|| closed(&self.path))?;
        let answer = asked.await;
        self.asked = None;
        let (latest, loaded) = answer.map_err(|_| closed(&self.path))?.map_err(|error| fault(&self.path, &error))?;
        self.since = Some(latest);
        Ok(loaded)
    }

    async fn pause(&mut self) {
        let pause = self.pause.get_or_insert_with(|| {
            let mut pause = interval(PAUSE);
            pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
            pause
        });
        pause.tick().await;
    }
}

impl Watch for News {
    fn next(&mut self) -> Doing<'_, Loaded> {
        Box::pin(async {
            loop {
                let loaded = self.answer().await?;
                if loaded != Loaded::default() {
                    return Ok(loaded);
                }
            }
        })
    }
}

/// What has changed since then, and where the news are now. Without a then, nothing has.
pub(super) fn news(connection: &Connection, since: Option<i64>) -> rusqlite::Result<(i64, Loaded)> {
    let latest = "SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = 'news'";
    let latest = connection.prepare_cached(latest)?.query_row([], |row| row.get(0))?;
    let loaded = match since {
        Some(since) if since != latest => changed(connection, since, latest)?,
        _ => Loaded::default(),
    };
    Ok((latest, loaded))
}

fn changed(connection: &Connection, since: i64, latest: i64) -> rusqlite::Result<Loaded> {
    let mut news = connection.prepare("SELECT id FROM news WHERE seq > ?1")?;
    let ids: Vec<String> = news.query_map([since], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if i64::try_from(ids.len()).ok() != latest.checked_sub(since) {
        return everything(connection);
    }
    let (mut find, mut loaded) = (Find::prepare(connection)?, Loaded::default());
    BTreeSet::from_iter(ids).iter().try_for_each(|id| find.load(id, &mut loaded))?;
    Ok(loaded)
}
