//! The listener distinguishes repetitive pieces from random ones by the right measures.
#![allow(clippy::unwrap_used)]

use pianola_host::statistics::listener::{EXCERPT, listen, notes_shuffled, parts_shuffled};
use pianola_runtime::Note;
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;

/// A piece of random pitches on one rhythm; every `period` notes it begins anew.
fn piece(period: usize, seed: u64) -> Vec<Note> {
    let mut random = Pcg32::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), seed);
    let mut note = || {
        let bits = random.next_u32();
        let (pitch, velocity) = (48 + (bits % 32) as u8, 40 + (bits >> 8 & 63) as u8);
        Note { pitch, velocity, step: 0.25, duration: 0.125 + (bits >> 20) as f32 / 8192.0 }
    };
    let theme: Vec<Note> = (0..period).map(|_| note()).collect();
    theme.into_iter().cycle().take(2 * EXCERPT).collect()
}

fn slices(pieces: &[Vec<Note>]) -> Vec<&[Note]> {
    pieces.iter().map(Vec::as_slice).collect()
}

#[test]
fn repetition_is_heard_as_structure_and_not_as_dynamics() {
    let themes: Vec<_> = (0..30).map(|seed| piece(40, seed)).collect();
    let random: Vec<_> = (30..60).map(|seed| piece(2 * EXCERPT, seed)).collect();
    let verdict = listen(&slices(&themes), &slices(&random));
    let group = |name| {
        let found = verdict.groups.iter().find(|group| group.name == name);
        found.and_then(|group| group.auc).unwrap().auc
    };
    assert_eq!(verdict.excerpts, [60, 60]);
    assert_eq!(verdict.all.map(|auc| auc.auc), Some(1.0));
    assert_eq!(group("structure"), 1.0);
    assert!(group("rhythm") < 0.8, "{}", group("rhythm"));
    assert_eq!(verdict.measures[0].group, "structure");
    let text = verdict.to_string();
    assert!(text.contains("structure                    1.000"), "{text}");
}

#[test]
fn too_few_pieces_are_said_to_be_too_few() {
    let few: Vec<_> = (0..4).map(|seed| piece(40, seed)).collect();
    let verdict = listen(&slices(&few), &slices(&few));
    assert!(verdict.all.is_none() && verdict.to_string().contains("too few pieces"));
    // Pieces shorter than an excerpt do not count.
    let many: Vec<_> = (0..9).map(|seed| piece(40, seed)).collect();
    let mut short = few.clone();
    short.extend(many.iter().map(|piece| piece[..EXCERPT - 1].to_vec()));
    let verdict = listen(&slices(&short), &slices(&many));
    assert!(verdict.all.is_none(), "{:?}", verdict.all);
}

#[test]
fn shuffled_pieces_have_the_same_notes() {
    let piece = piece(400, 7);
    let sorted = |notes: &[Note]| {
        let mut notes: Vec<_> =
            notes.iter().map(|note| (note.pitch, note.velocity, note.duration.to_bits())).collect();
        notes.sort_unstable();
        notes
    };
    let cuts = [0, 100, 100, 250];
    for shuffled in [notes_shuffled(&piece, 1), parts_shuffled(&piece, &cuts, 1)] {
        assert_ne!(shuffled, piece);
        assert_eq!(sorted(&shuffled), sorted(&piece));
    }
    let parts = parts_shuffled(&piece, &cuts, 1);
    assert!(parts.windows(100).any(|run| run == &piece[..100]));
}
