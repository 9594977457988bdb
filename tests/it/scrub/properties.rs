//! What holds for any key, any text and any way to cut it.

use proptest::prelude::*;
use proptest::sample::Index;

use super::oracle::{contains, expected, forms};
use super::{scrubber, through};

/// What a text is made of.
#[derive(Clone, Debug)]
enum Piece {
    Text(String),
    Form(Index),
    Start(Index, Index),
    End(Index, Index),
}

impl Piece {
    fn write(&self, forms: &[Vec<u8>], out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text.as_bytes()),
            Self::Form(form) => out.extend(form.get::<Vec<u8>>(forms)),
            Self::Start(form, at) => {
                let form = form.get::<Vec<u8>>(forms);
                out.extend_from_slice(&form[..at.index(form.len())]);
            }
            Self::End(form, at) => {
                let form = form.get::<Vec<u8>>(forms);
                out.extend_from_slice(&form[at.index(form.len())..]);
            }
        }
    }
}

fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    let piece = prop_oneof![
        "[ -~é\n]{0,40}".prop_map(Piece::Text),
        any::<Index>().prop_map(Piece::Form),
        any::<(Index, Index)>().prop_map(|(form, at)| Piece::Start(form, at)),
        any::<(Index, Index)>().prop_map(|(form, at)| Piece::End(form, at)),
    ];
    prop::collection::vec(piece, 0..8)
}

/// Cuts `text` into chunks of these lengths, over and over.
fn cut<'a>(mut text: &'a [u8], lengths: &[usize]) -> Vec<&'a [u8]> {
    let mut chunks = Vec::new();
    for &length in lengths.iter().cycle() {
        let (chunk, rest) = text.split_at(length.min(text.len()));
        chunks.push(chunk);
        text = rest;
        if text.is_empty() {
            break;
        }
    }
    chunks
}

fn check(key: &str, pieces: &[Piece], lengths: &[usize]) -> Result<(), TestCaseError> {
    let forms = forms(key);
    let mut text = Vec::new();
    for piece in pieces {
        piece.write(&forms, &mut text);
    }
    let out = through(&scrubber(key), cut(&text, lengths));
    prop_assert!(forms.iter().all(|form| !contains(&out, form)));
    prop_assert_eq!(out, expected(&text, &forms));
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn i18_exactly_the_echoes_of_a_key_are_masked(
        key in "[0-9A-Za-z]{16,128}",
        pieces in pieces(),
        lengths in prop::collection::vec(1usize..300, 1..5),
    ) {
        check(&key, &pieces, &lengths)?;
    }

    #[test]
    fn i18_exactly_the_echoes_of_a_key_are_masked_byte_by_byte(
        key in "[0-9A-Za-z]{16,64}",
        pieces in pieces(),
        lengths in prop::collection::vec(1usize..3, 1..5),
    ) {
        check(&key, &pieces, &lengths)?;
    }

    /// Such keys overlap with themselves, and with their own hexadecimal form.
    #[test]
    fn i18_overlapping_echoes_are_masked(
        key in "[136]{4,12}|(36|31){4,6}|1{6,20}",
        pieces in pieces(),
        text in "[136]{0,80}",
        lengths in prop::collection::vec(1usize..40, 1..5),
    ) {
        let pieces = [vec![Piece::Text(text)], pieces].concat();
        check(&key, &pieces, &lengths)?;
    }
}
