//! Finds the forms of a key in a text.
//!
//! A search looks for the first [`MIN_FORM`] bytes of every form; the rare place where one stands is compared with the
//! forms that begin so. Few beginnings are looked for by vector instructions, many (every part of a key is one) in leaps
//! after Wu and Manber, as the last three of eight bytes allow. An Aho-Corasick automaton over whole forms takes 230 µs
//! to make and 39 KiB, and does not tell where a tail begins that may become a form.
//!
//! The worst text for the worst key (4096 bytes that repeat one) costs 60 ns a byte, and 230 ns if it comes byte by byte;
//! a key that was drawn at random has no such text.
//!
//! The patterns of the vector search cannot be wiped from memory. They tell no more of a key than its first eight bytes.

use std::ops::Range;

use aho_corasick::{Span, packed};

use super::MIN_FORM;
use super::forms::{self, Form};
use super::shifts::Shifts;

/// The forms of one key, made ready for a search.
pub(super) struct Index {
    beginnings: Beginnings,
    /// In the order of their beginnings.
    groups: Vec<Group>,
    /// The length of the longest form.
    pub(super) longest: usize,
    /// Stands in no form, so masking never makes one.
    pub(super) mask: u8,
}

/// The forms that share a beginning; at least one.
struct Group {
    beginning: [u8; MIN_FORM],
    forms: Vec<Form>,
}

/// What [`Index::scan`] found.
pub(super) struct Found {
    pub(super) echoes: Echoes,
    /// Nothing that begins before this place is still open.
    pub(super) settled: usize,
}

impl Index {
    pub(super) fn new(key: &[u8]) -> Self {
        Self::of(key, forms::all(key))
    }

    /// The same, and every part of the key is a form.
    pub(super) fn with_parts(key: &[u8]) -> Self {
        let mut forms = forms::all(key);
        forms.extend(forms::parts(key));
        Self::of(key, forms)
    }

    fn of(key: &[u8], forms: Vec<Form>) -> Self {
        let longest = forms.iter().map(|form| form.len()).max().unwrap_or_default();
        let groups = grouped(forms);
        // A blank is in no key.
        let mask = [b'*', b'#'].into_iter().find(|mask| !key.contains(mask)).unwrap_or(b' ');
        let beginnings = Beginnings::new(&groups);
        Self { beginnings, groups, longest, mask }
    }

    /// Looks for forms that begin before `starts`, and may reach beyond. With `more` to come, it ends at the first
    /// place whose text to the end of `text` may begin a form.
    pub(super) fn scan(&self, text: &[u8], starts: usize, more: bool) -> Found {
        let mut echoes = Echoes::default();
        let mut at = 0;
        while let Some((start, group)) = self.beginning(text, at, starts) {
            let rest = text.get(start..).unwrap_or_default();
            if let Some(length) = group.longest_in(rest) {
                echoes.add(start..start + length);
            }
            if more && group.may_be(rest) {
                return Found { echoes, settled: start };
            }
            at = start + 1;
        }
        let settled = if more { self.open_end(text, at, starts) } else { starts };
        Found { echoes, settled }
    }

    /// The first place from `at` on, and before `starts`, where a form may begin.
    fn beginning(&self, text: &[u8], at: usize, starts: usize) -> Option<(usize, &Group)> {
        let end = text.len().min(starts + MIN_FORM - 1);
        let start = self.beginnings.find(text, at..end, |bytes| self.group(bytes).is_some())?;
        Some((start, self.group(text.get(start..start + MIN_FORM)?)?))
    }

    /// The forms that begin with these eight bytes.
    fn group(&self, beginning: &[u8]) -> Option<&Group> {
        let place = self.groups.binary_search_by(|group| group.beginning.as_slice().cmp(beginning)).ok()?;
        self.groups.get(place)
    }

    /// The first place whose text to the end is part of a beginning, else `starts`.
    fn open_end(&self, text: &[u8], at: usize, starts: usize) -> usize {
        let from = at.max((text.len() + 1).saturating_sub(MIN_FORM));
        let end = text.get(from..).unwrap_or_default();
        let from = from + end.iter().rposition(|byte| !byte.is_ascii_graphic()).map_or(0, |blank| blank + 1);
        let may_begin = |rest: &[u8]| {
            let place = self.groups.partition_point(|group| group.beginning.as_slice() < rest);
            self.groups.get(place).is_some_and(|group| group.beginning.starts_with(rest))
        };
        (from..starts).find(|&start| text.get(start..).is_some_and(may_begin)).unwrap_or(starts)
    }
}

/// Finds where a form may begin.
enum Beginnings {
    Vectors(packed::Searcher),
    /// For many beginnings, and for processors without the vector instructions.
    Shifts(Shifts),
}

impl Beginnings {
    fn new(groups: &[Group]) -> Self {
        let vectors = packed::Searcher::new(groups.iter().map(|group| group.beginning));
        vectors.map_or_else(|| Self::shifts(groups), Self::Vectors)
    }

    fn shifts(groups: &[Group]) -> Self {
        Self::Shifts(Shifts::new(groups.iter().map(|group| &group.beginning)))
    }

    /// Where the first one is; `begins` says whether eight bytes are one.
    fn find(&self, text: &[u8], range: Range<usize>, begins: impl Fn(&[u8]) -> bool) -> Option<usize> {
        match self {
            Self::Vectors(search) => search.find_in(text, Span::from(range)).map(|found| found.start()),
            Self::Shifts(search) => search.find(text, range, begins),
        }
    }
}

impl Group {
    /// The length of the longest form that `text` begins with.
    fn longest_in(&self, text: &[u8]) -> Option<usize> {
        self.forms.iter().filter(|form| text.starts_with(form)).map(|form| form.len()).max()
    }

    /// Whether `text` may become a form.
    fn may_be(&self, text: &[u8]) -> bool {
        self.forms.iter().any(|form| form.len() > text.len() && form.starts_with(text))
    }
}

fn grouped(mut forms: Vec<Form>) -> Vec<Group> {
    forms.sort_unstable_by(|one, other| one.cmp(other));
    let mut groups = Vec::<Group>::new();
    for form in forms {
        let Some(&beginning) = form.first_chunk() else { continue };
        match groups.last_mut() {
            Some(group) if group.beginning == beginning => group.forms.push(form),
            _ => groups.push(Group { beginning, forms: vec![form] }),
        }
    }
    groups
}

/// Where echoes stand: ranges in ascending order, with a gap between any two.
#[derive(Default)]
pub(super) struct Echoes(Vec<Range<usize>>);

impl Echoes {
    /// Adds a range that starts no earlier than the last one.
    fn add(&mut self, echo: Range<usize>) {
        match self.0.last_mut() {
            Some(last) if echo.start <= last.end => last.end = last.end.max(echo.end),
            _ => self.0.push(echo),
        }
    }

    /// Adds the first `length` bytes, which an earlier text's echo reached into.
    pub(super) fn prepend(&mut self, length: usize) {
        let found = std::mem::take(&mut self.0);
        (length > 0).then_some(0..length).into_iter().chain(found).for_each(|echo| self.add(echo));
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Where the last echo ends.
    pub(super) fn end(&self) -> usize {
        self.0.last().map_or(0, |echo| echo.end)
    }

    /// What of them lies before `end`.
    pub(super) fn before(&self, end: usize) -> impl Iterator<Item = Range<usize>> {
        let begins_before = move |echo: &&Range<usize>| echo.start < end;
        self.0.iter().take_while(begins_before).map(move |echo| echo.start..echo.end.min(end))
    }
}

#[cfg(not(key_commune_loom))]
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaps_find_what_the_vectors_find() {
        let key = b"sk-proj-0123456789abcdef";
        let vectors = Index::new(key);
        let mut leaps = Index::new(key);
        leaps.beginnings = Beginnings::shifts(&leaps.groups);
        assert!(matches!(vectors.beginnings, Beginnings::Vectors(_)));

        for form in forms::all(key) {
            let text = [b"{\"echo\":\"", form.as_slice(), b"\",\"more\":\"", &form[..form.len() - 1]].concat();
            let [one, other] = [&vectors, &leaps].map(|index| index.scan(&text, text.len(), true));
            assert_eq!((one.echoes.0, one.settled), (other.echoes.0, other.settled));
            assert_eq!(one.settled, text.len() - (form.len() - 1));
        }
    }
}
