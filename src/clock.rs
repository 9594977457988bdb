//! Time as the rules see it: an argument, never a global.
//!
//! [`SystemClock`] is the one place of the crate that reads the machine's clocks (clippy keeps that so). It reads the
//! wall clock once, at start, and adds what the monotonic clock says has passed since: a wall clock that is set
//! back or forward while the process runs neither lengthens nor shortens a rest.

use std::fmt;
#[cfg(not(target_os = "linux"))]
use std::time::Instant;
use std::time::{Duration, SystemTime};

#[cfg(target_os = "linux")]
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A point in time with nanosecond steps, counted from the Unix epoch; reaches to the year 2554.
///
/// All arithmetic saturates, so no number that comes from outside can make it overflow.
///
/// ```
/// use key_commune::clock::Timestamp;
/// use std::time::Duration;
///
/// let start = Timestamp::from_unix(Duration::from_secs(1_000));
/// let end = start + Duration::from_secs(60);
/// assert_eq!(end - start, Duration::from_secs(60));
/// assert_eq!(start - end, Duration::ZERO);
/// assert_eq!(end + Duration::MAX, Timestamp::MAX);
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The Unix epoch.
    pub const ZERO: Self = Self(0);
    /// The last moment that can be told; stands for "never".
    pub const MAX: Self = Self(u64::MAX);

    /// The moment that lies `since` after the Unix epoch.
    #[must_use]
    pub const fn from_unix(since: Duration) -> Self {
        // Twice as fast as by way of `Duration::as_nanos`, which counts in 128 bits.
        Self(since.as_secs().saturating_mul(1_000_000_000).saturating_add(since.subsec_nanos() as u64))
    }

    /// The time since the Unix epoch.
    #[must_use]
    pub const fn since_unix(self) -> Duration {
        Duration::from_nanos(self.0)
    }

    /// Whole days since the Unix epoch, in UTC.
    #[must_use]
    pub const fn day(self) -> u32 {
        (self.0 / (24 * 3_600 * 1_000_000_000)) as u32
    }

    pub(crate) const fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) const fn from_nanos(since: u64) -> Self {
        Self(since)
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(Self::from_unix(later).0))
    }
}

impl std::ops::Sub for Timestamp {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0 / 1_000_000_000).unwrap_or(i64::MAX);
        match jiff::Timestamp::from_second(seconds) {
            Ok(moment) => moment.fmt(f),
            Err(_) => f.write_str("never"),
        }
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Timestamp({self})")
    }
}

/// Tells the time. Implemented for closures, so that a test can hold the clock in its hand.
///
/// ```
/// use key_commune::clock::{Clock, Timestamp};
///
/// let stopped = || Timestamp::ZERO;
/// assert_eq!(stopped.now(), Timestamp::ZERO);
/// ```
pub trait Clock: Send + Sync {
    /// The present moment. Successive answers must not go back.
    fn now(&self) -> Timestamp;
}

impl<F: Fn() -> Timestamp + Send + Sync> Clock for F {
    fn now(&self) -> Timestamp {
        self()
    }
}

/// The machine's clock: wall time at its making plus monotonic time since.
///
/// On Linux it is read as the kernel left it at its last tick. That costs a tenth of asking the hardware; what is told
/// may be one tick old, mostly 4 ms (1 to 10 ms, as the kernel was built), and so much sooner a rest may end. Elsewhere it is
/// as fine as [`Instant`](std::time::Instant).
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    wall: Timestamp,
    start: Moment,
}

impl SystemClock {
    /// Reads the wall clock, for the only time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the one place of the crate that reads time")]
    pub fn new() -> Self {
        let since_unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Self { wall: Timestamp::from_unix(since_unix), start: Moment::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    #[inline]
    fn now(&self) -> Timestamp {
        Timestamp(self.wall.0.saturating_add(self.start.passed()))
    }
}

/// What the monotonic clock said: nanoseconds since the machine was started.
#[cfg(target_os = "linux")]
#[derive(Clone, Copy, Debug)]
struct Moment(u64);

#[cfg(target_os = "linux")]
impl Moment {
    #[inline]
    #[expect(clippy::disallowed_methods, reason = "the one place of the crate that reads time")]
    fn now() -> Self {
        let read = clock_gettime(ClockId::MonotonicCoarse);
        Self((read.tv_sec as u64).saturating_mul(1_000_000_000).saturating_add(read.tv_nsec as u64))
    }

    /// The nanoseconds since.
    #[inline]
    fn passed(self) -> u64 {
        Self::now().0.saturating_sub(self.0)
    }
}

/// What the monotonic clock said.
#[cfg(not(target_os = "linux"))]
#[derive(Clone, Copy, Debug)]
struct Moment(Instant);

#[cfg(not(target_os = "linux"))]
impl Moment {
    #[expect(clippy::disallowed_methods, reason = "the one place of the crate that reads time")]
    fn now() -> Self {
        Self(Instant::now())
    }

    /// The nanoseconds since.
    fn passed(self) -> u64 {
        Timestamp::from_unix(Self::now().0.saturating_duration_since(self.0)).0
    }
}
