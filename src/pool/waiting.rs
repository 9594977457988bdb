//! Waiting for a key: first come, first served among the requests that a freed key can serve (I14).
//!
//! A key is not announced but handed over, as a lease, under the lock, at once when it comes free. A waiter that is
//! dropped with a lease in its hands gives it back the way every lease goes back, and the next in line gets it.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};

use pin_project_lite::pin_project;

use super::lease::Lease;
use super::tried::Tried;
use super::wish::{Asked, Wish};
use super::{Exhausted, KeyPool};
use crate::clock::Timestamp;
use crate::demand::Demand;
use crate::sync::{Sleep, sleep};

/// Who waits, in the order they came.
#[derive(Debug)]
pub(super) struct Queue {
    entries: VecDeque<Entry>,
    next: u64,
    most: usize,
    waiting: usize,
    /// The tokens that they need together.
    tokens: u64,
}

#[derive(Debug)]
struct Entry {
    ticket: u64,
    tried: Tried,
    wish: Wish,
    waker: Option<Waker>,
    lease: Option<Lease>,
}

impl Entry {
    fn asked(&self) -> Asked<'_> {
        Asked { wish: &self.wish, tried: &self.tried }
    }

    /// Whether what serves one serves the other, or nearly.
    fn waits_for_the_same(&self, other: &Self) -> bool {
        self.want() == other.want() && self.tried.count() == 0 && other.tried.count() == 0
    }

    /// Its model, and how many digits its tokens have, in binary: who needs few need not wait until there are many.
    fn want(&self) -> (Option<&str>, u32) {
        (self.wish.model.as_deref(), u64::BITS - self.wish.tokens.leading_zeros())
    }
}

impl Queue {
    pub(super) fn new(most: usize) -> Self {
        Self { entries: VecDeque::new(), next: 0, most, waiting: 0, tokens: 0 }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// How many tokens those need on average that have no lease yet.
    pub(super) fn tokens(&self) -> u64 {
        self.tokens / (self.waiting as u64).max(1)
    }

    /// How many have no lease yet.
    pub(super) fn count(&self) -> usize {
        self.waiting
    }

    /// Joins the queue, unless it is full.
    pub(super) fn join(&mut self, asked: &Asked<'_>) -> Option<u64> {
        if self.entries.len() >= self.most {
            return None;
        }
        self.next += 1;
        self.waiting += 1;
        let (wish, tried) = asked.kept();
        self.tokens = self.tokens.saturating_add(wish.tokens);
        self.entries.push_back(Entry { ticket: self.next, tried, wish, waker: None, lease: None });
        Some(self.next)
    }

    /// Those that have no lease yet.
    pub(super) fn waiting(&self) -> impl Iterator<Item = (u64, Asked<'_>)> {
        let waiting = self.entries.iter().filter(|entry| entry.lease.is_none());
        waiting.map(|entry| (entry.ticket, entry.asked()))
    }

    /// Hands a lease over; returns whom to wake.
    ///
    /// # Errors
    /// If nobody waits there any more: the lease.
    pub(super) fn give(&mut self, ticket: u64, lease: Lease) -> Result<Option<Waker>, Box<Lease>> {
        let entry = self.index(ticket).and_then(|index| self.entries.get_mut(index));
        let Some(entry) = entry.filter(|entry| entry.lease.is_none()) else { return Err(Box::new(lease)) };
        entry.lease = Some(lease);
        self.waiting -= 1;
        self.tokens = self.tokens.saturating_sub(entry.wish.tokens);
        Ok(entry.waker.take())
    }

    /// Those that look at the clock: of those who wait for the same, the first.
    pub(super) fn wakers(&mut self) -> Vec<Waker> {
        let mut wants: Vec<(Option<Arc<str>>, u32)> = Vec::new();
        let waiting = self.entries.iter_mut().filter(|entry| entry.lease.is_none());
        let looks = waiting.filter(|entry| {
            let want = entry.want();
            let is_alone = entry.tried.count() > 0;
            let follows = !is_alone && wants.iter().any(|(model, size)| (model.as_deref(), *size) == want);
            if !follows && !is_alone {
                wants.push((entry.wish.model.clone(), want.1));
            }
            !follows
        });
        looks.filter_map(|entry| entry.waker.take()).collect()
    }

    /// What somebody waits for.
    pub(super) fn asked(&self, ticket: u64) -> Option<Asked<'_>> {
        self.entries.get(self.index(ticket)?).map(Entry::asked)
    }

    /// Looks whether a lease was handed over. If not, leaves a waker, and tells whether nobody stands before it who waits
    /// for the same.
    pub(super) fn look(&mut self, ticket: u64, waker: &Waker) -> Option<bool> {
        let index = self.index(ticket)?;
        let entry = self.entries.get_mut(index).filter(|entry| entry.lease.is_none())?;
        entry.waker = Some(waker.clone());
        let entry = self.entries.get(index)?;
        // Who was never polled looks at no clock.
        let looks = |before: &&Entry| before.lease.is_none() && before.waker.is_some();
        let mut before = self.entries.iter().take(index).filter(looks);
        Some(!before.any(|before| before.waits_for_the_same(entry)))
    }

    /// Leaves the queue, with the lease that was handed over, if one was, and with whoever is the first after it.
    fn leave(&mut self, ticket: u64) -> Option<(Option<Lease>, Option<Waker>)> {
        let left = self.entries.remove(self.index(ticket)?)?;
        if left.lease.is_none() {
            self.waiting -= 1;
            self.tokens = self.tokens.saturating_sub(left.wish.tokens);
        }
        let mut waiting = self.entries.iter_mut().filter(|entry| entry.lease.is_none());
        let next = waiting.find(|entry| entry.waits_for_the_same(&left));
        Some((left.lease, next.and_then(|next| next.waker.take())))
    }

    fn index(&self, ticket: u64) -> Option<usize> {
        self.entries.binary_search_by_key(&ticket, |entry| entry.ticket).ok()
    }
}

/// A place in the queue; leaving it, for whatever reason, clears it.
#[derive(Debug)]
struct Ticket {
    pool: KeyPool,
    number: u64,
}

impl Ticket {
    /// When to look again, or `None` if a lease lies ready. `waker` is called when one does, or when the due times have
    /// changed.
    fn look(&self, waker: &Waker, now: Timestamp) -> Option<Timestamp> {
        self.pool.0.with(|ledger| ledger.look(self.number, waker, now))
    }

    fn leave(&self) -> Option<Lease> {
        self.pool.0.with(|ledger| {
            let (lease, next) = ledger.queue.leave(self.number)?;
            ledger.wakers.extend(next);
            lease
        })
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        // Outside the lock: a lease that is given back may need it.
        drop(self.leave());
    }
}

pin_project! {
    /// Waits for a key until a deadline. Made by [`KeyPool::wait`]; needs a tokio runtime with time enabled.
    #[derive(Debug)]
    #[must_use = "futures do nothing unless polled"]
    pub struct Waiting {
        ticket: Option<Ticket>,
        pool: KeyPool,
        demand: Demand,
        deadline: Timestamp,
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Waiting {
    /// `number` is a place in the queue of `pool`; without one, the queue was full and there is nothing to wait for.
    pub(super) fn new(pool: KeyPool, number: Option<u64>, demand: Demand, deadline: Timestamp) -> Self {
        let ticket = number.map(|number| Ticket { pool: pool.clone(), number });
        Self { ticket, pool, demand, deadline, sleep: None }
    }
}

impl Future for Waiting {
    type Output = Result<Lease, Exhausted>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let now = this.pool.now();
            let due = this.ticket.as_ref().and_then(|ticket| ticket.look(cx.waker(), now));
            let Some(due) = due.filter(|_| now < *this.deadline) else {
                let lease = this.ticket.take().and_then(|ticket| ticket.leave());
                return Poll::Ready(lease.ok_or_else(|| this.pool.exhausted(this.demand, now)));
            };
            this.sleep.set(Some(sleep(due.min(*this.deadline) - now)));
            if let Some(sleep) = this.sleep.as_mut().as_pin_mut() {
                ready!(sleep.poll(cx));
            }
        }
    }
}
