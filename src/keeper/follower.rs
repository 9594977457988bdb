//! Takes over what others change in a store.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::calm::calm;
use super::status::Book;
use crate::pool::KeyPool;
use crate::store::Watch;

/// How long a watch that fails is left alone.
const RETRY: Duration = Duration::from_secs(1);

/// A pool that is in use has other things to do.
const AT_ONCE: usize = 1_024;

pub(super) async fn follow(pool: KeyPool, mut watch: Box<dyn Watch>, book: Arc<Book>) {
    loop {
        match calm(|| watch.next()).await {
            Ok(news) => {
                book.heard(news.hidden());
                super::restored::take_over(&pool, news.changes, AT_ONCE).await;
            }
            Err(error) => {
                book.deaf(error);
                sleep(RETRY).await;
            }
        }
    }
}
