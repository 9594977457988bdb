//! What one request has tried so far.

/// The members that one request has tried, and how. Lives as long as the request, without an allocation.
#[derive(Clone, Debug, Default)]
pub struct Tried {
    places: [u32; Self::MOST],
    count: u8,
    probed: bool,
    single: bool,
}

impl Tried {
    /// The most members that one request ever tries (I23).
    pub const MOST: usize = 16;

    /// How many members were tried.
    pub fn count(&self) -> usize {
        usize::from(self.count)
    }

    /// Whether this request may only try once, because the pool is in an outage.
    pub(super) fn is_single(&self) -> bool {
        self.single
    }

    pub(super) fn begin(&mut self, in_outage: bool) {
        if self.count == 0 {
            self.single = in_outage;
        }
    }

    pub(super) fn note(&mut self, place: u32, probe: bool) {
        if let Some(free) = self.places.get_mut(usize::from(self.count)) {
            *free = place;
            self.count += 1;
        }
        self.probed |= probe;
    }

    /// A request probes at most once: behind it stand keys that are known to work.
    pub(super) fn has_probed(&self) -> bool {
        self.probed
    }

    pub(super) fn is_full(&self) -> bool {
        self.count() == Self::MOST
    }

    #[inline]
    pub(super) fn contains(&self, place: u32) -> bool {
        self.places().contains(&place)
    }

    /// The places of one word of a bitmap that were not tried.
    #[inline]
    pub(super) fn mask(&self, word: usize) -> u64 {
        let in_word = self.places().iter().filter(|&&place| place as usize / 64 == word);
        in_word.fold(u64::MAX, |mask, &place| mask & !(1 << (place % 64)))
    }

    /// Where the members stand that were tried.
    #[inline]
    pub(super) fn places(&self) -> &[u32] {
        self.places.get(..self.count()).unwrap_or_default()
    }
}
