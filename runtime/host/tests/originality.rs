//! Passages in a corpus and filters: compared with brute-force search, and tested with damaged files.
#![allow(clippy::unwrap_used)]

use pianola_host::corpus::{Song, below};
use pianola_host::originality::filter::{BuildError, build, false_positives, keys};
use pianola_host::originality::{Index, WINDOWS};
use pianola_runtime::Note;
use pianola_runtime::guard::{CHECKSUM, Filter, FilterError, Guard, HEADER};
use pianola_runtime::passage::PassageMatch;
use proptest::prelude::*;
use rand_pcg::Pcg32;

fn note(pitch: u8, step: f32) -> Note {
    Note { pitch, velocity: 80, step, duration: 0.5 }
}

fn song(name: &str, notes: Vec<Note>) -> Song {
    Song { name: name.into(), notes }
}

/// A melody in equal steps.
fn melody(pitches: &[u8]) -> Vec<Note> {
    pitches.iter().map(|&pitch| note(pitch, 0.25)).collect()
}

#[test]
fn a_passage_is_found_where_it_stands() {
    let first = song("a.mid", melody(&[60, 62, 64, 65, 67]));
    let second = song("b.mid", melody(&[40, 50, 71, 70, 67, 66, 40]));
    let songs = [first, second];
    let index = Index::new(&songs);
    // Four notes of the second song, a fifth lower and in another tempo.
    let piece: Vec<Note> = [30, 64, 63, 60, 59, 30].map(|pitch| note(pitch, 1.5)).to_vec();
    let found = index.search(&piece, PassageMatch::Transposed).longest.unwrap();
    assert_eq!((found.notes, found.at, found.song, found.song_at), (4, 1, "b.mid", 2));
    let found = index.search(&piece, PassageMatch::Exact).longest;
    assert!(found.is_none(), "{found:?}");
    // No passage extends from one song into the next.
    let piece = melody(&[64, 65, 67, 40, 50, 71]);
    let found = index.search(&piece, PassageMatch::Exact).longest.unwrap();
    assert_eq!((found.notes, found.at, found.song, found.song_at), (3, 0, "a.mid", 2));
}

#[test]
fn chords_are_the_same_in_any_order_and_no_melodies() {
    let chord = |pitches: [u8; 3]| {
        let step = |i| if i == 0 { 0.5 } else { 0.004 };
        pitches.into_iter().enumerate().map(move |(i, pitch)| note(pitch, step(i)))
    };
    let songs = [song("a.mid", chord([60, 64, 67]).chain(chord([62, 65, 69])).collect())];
    let index = Index::new(&songs);
    let notes = |piece: &[Note]| {
        let longest = index.search(piece, PassageMatch::Exact).longest;
        longest.map_or(0, |longest| longest.notes)
    };
    let turned: Vec<Note> = chord([67, 60, 64]).chain(chord([69, 62, 65])).collect();
    assert_eq!(notes(&turned), 6);
    assert_eq!(notes(&melody(&[60, 64, 67, 62, 65, 69])), 2);
}

/// Notes of few pitches and both kinds of steps, so that passages repeat.
fn notes(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<Note>> {
    let step = prop_oneof![Just(0.0f32), Just(0.006), Just(0.25), Just(1.0)];
    let note = (60u8..64, step).prop_map(|(pitch, step)| note(pitch, step));
    proptest::collection::vec(note, length)
}

fn songs() -> impl Strategy<Value = Vec<Song>> {
    let named = |songs: Vec<Vec<Note>>| {
        songs.into_iter().enumerate().map(|(i, notes)| song(&i.to_string(), notes)).collect()
    };
    proptest::collection::vec(notes(1..60), 1..5).prop_map(named)
}

/// Pitches in the order of a score, and whether each note joins a chord.
fn score(notes: &[Note]) -> Vec<(u8, bool)> {
    let mut score: Vec<(u8, bool)> = Vec::new();
    for (at, note) in notes.iter().enumerate() {
        let joins = at > 0 && note.step < 1.0 / 128.0;
        let first = if joins { score.iter().rposition(|&(_, joins)| !joins).unwrap() } else { at };
        score.push((note.pitch, joins));
        let mut pitches: Vec<u8> = score[first..].iter().map(|&(pitch, _)| pitch).collect();
        pitches.sort_unstable();
        score[first..].iter_mut().zip(pitches).for_each(|(place, pitch)| place.0 = pitch);
    }
    score
}

fn same(a: &[(u8, bool)], b: &[(u8, bool)], identity: PassageMatch) -> bool {
    let shift = match identity {
        PassageMatch::Transposed => i16::from(a[0].0) - i16::from(b[0].0),
        PassageMatch::Exact => 0,
    };
    let pitches = a.iter().zip(b).all(|(a, b)| i16::from(a.0) - i16::from(b.0) == shift);
    pitches && a[1..].iter().zip(&b[1..]).all(|(a, b)| a.1 == b.1)
}

fn found(piece: &[(u8, bool)], songs: &[Vec<(u8, bool)>], identity: PassageMatch) -> bool {
    songs.iter().flat_map(|song| song.windows(piece.len())).any(|w| same(piece, w, identity))
}

proptest! {
    #[test]
    fn the_index_finds_what_a_search_by_hand_finds(songs in songs(), piece in notes(0..60)) {
        let index = Index::new(&songs);
        let scores: Vec<_> = songs.iter().map(|song| score(&song.notes)).collect();
        let by_hand = score(&piece);
        for identity in PassageMatch::ALL {
            let shared = index.search(&piece, identity);
            for (i, window) in WINDOWS.into_iter().enumerate() {
                let windows: Vec<_> = by_hand.windows(window).collect();
                let hits = windows.iter().filter(|w| found(w, &scores, identity)).count();
                prop_assert_eq!((shared.windows[i], shared.found[i]), (windows.len(), hits));
            }
            let any = |notes| by_hand.windows(notes).any(|w| found(w, &scores, identity));
            let longest = (2..=by_hand.len()).take_while(|&notes| any(notes)).last();
            prop_assert_eq!(shared.longest.map(|passage| passage.notes), longest);
            if let Some(passage) = shared.longest {
                let place = passage.song.parse::<usize>().unwrap();
                let there = &scores[place][passage.song_at..][..passage.notes];
                prop_assert!(same(&by_hand[passage.at..][..passage.notes], there, identity));
            }
        }
    }

    #[test]
    fn a_filter_knows_every_passage_it_was_built_of(songs in songs(), notes in 4usize..=32) {
        let keys = keys(&songs, notes);
        match build(&songs, notes) {
            Ok(bytes) => {
                let filter = Filter::from_bytes(&bytes).unwrap();
                prop_assert_eq!((filter.notes(), filter.windows()), (notes, keys.len() as u32));
                prop_assert!(keys.iter().all(|&key| filter.contains(key)));
                for song in &songs {
                    let mut guard = Guard::new(&filter);
                    for (at, note) in song.notes.iter().enumerate() {
                        // Within a chord, the song's passage may be complete only later.
                        let whole = song.notes.get(at + 1).is_none_or(|next| next.step > 0.1);
                        let single = note.step > 0.1 || at == 0;
                        let forbids = guard.forbids(note.step, note.pitch);
                        prop_assert!(forbids || at + 1 < notes || !(whole && single));
                        guard.observe(note);
                    }
                }
            }
            Err(error) => {
                prop_assert_eq!(error, BuildError::NoPassage);
                prop_assert!(songs.iter().all(|song| song.notes.len() < notes));
            }
        }
    }

    /// For any proposed notes and any order within chords, the notes that a guard allows contain no
    /// passage of the songs.
    #[test]
    fn what_a_guard_lets_pass_is_original(
        songs in songs(), proposed in notes(200..300), notes in 4usize..=9
    ) {
        let Ok(bytes) = build(&songs, notes) else { return Ok(()) };
        let filter = Filter::from_bytes(&bytes).unwrap();
        let mut guard = Guard::new(&filter);
        let mut piece = Vec::new();
        for note in proposed {
            if !guard.forbids(note.step, note.pitch) {
                guard.observe(&note);
                piece.push(note);
            }
        }
        let longest = Index::new(&songs).search(&piece, PassageMatch::Transposed).longest;
        prop_assert!(longest.is_none_or(|passage| passage.notes < notes), "{longest:?}");
    }

    #[test]
    fn damage_is_refused(at: prop::sample::Index, bit in 0u8..8, left: prop::sample::Index) {
        let bytes = tiny();
        let mut damaged = bytes.clone();
        damaged[at.index(bytes.len())] ^= 1 << bit;
        prop_assert!(Filter::from_bytes(&damaged).is_err());
        prop_assert!(Filter::from_bytes(&bytes[..left.index(bytes.len())]).is_err());
    }

    /// Even a forged header with a valid checksum causes no access out of bounds.
    #[test]
    fn no_header_makes_it_panic(
        words in proptest::array::uniform7(prop_oneof![0u32..64, any::<u32>()]), key: u64
    ) {
        let mut bytes = tiny();
        for (place, word) in bytes[12..36].as_chunks_mut::<4>().0.iter_mut().zip(words) {
            *place = word.to_le_bytes();
        }
        let length = words[4].wrapping_mul(2).wrapping_add(words[5]);
        bytes.resize(HEADER + (length % 1000) as usize, 7);
        seal(&mut bytes);
        if let Ok(filter) = Filter::from_bytes(&bytes) {
            filter.contains(key);
        }
    }
}

/// Corrects the checksum of a filter.
fn seal(bytes: &mut [u8]) {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&bytes[..CHECKSUM]);
    crc.update(&bytes[HEADER..]);
    bytes[CHECKSUM..HEADER].copy_from_slice(&crc.finalize().to_le_bytes());
}

/// The filter of the six notes' three passages of four.
fn tiny() -> Vec<u8> {
    build(&[song("tiny.mid", melody(&[60, 62, 64, 65, 67, 60]))], 4).unwrap()
}

/// The format of `docs/model-file.md`, byte by byte.
#[test]
fn the_format_stays_as_it_is() {
    let bytes = tiny();
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let expected = concat!(
        "5049414e4f4c4146",                 // PIANOLAF
        "01000000",                         // version
        "04000000",                         // notes
        "c15c0289ec2d0a91",                 // seed
        "03000000",                         // passages
        "08000000",                         // fingerprints of a segment
        "08000000",                         // and of all segments but the last two
        "d622c49d",                         // CRC-32
        "0000000088000000000000000b000000", // fingerprints
        "000000000000006c",
    );
    assert_eq!(hex, expected);
    let filter = Filter::from_bytes(&bytes).unwrap();
    let mut guard = Guard::new(&filter);
    melody(&[50, 52, 54]).iter().for_each(|note| guard.observe(note));
    assert!(guard.forbids(0.1, 55) && !guard.forbids(0.1, 54) && !guard.forbids(0.0, 55));
    guard.restart();
    assert!(!guard.forbids(0.1, 55));
}

#[test]
fn a_refusal_says_why() {
    let refused = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = tiny();
        change(&mut bytes);
        Filter::from_bytes(&bytes).unwrap_err()
    };
    assert_eq!(refused(&|bytes| bytes.clear()), FilterError::NotAFilter);
    assert_eq!(refused(&|bytes| bytes[0] ^= 1), FilterError::NotAFilter);
    assert_eq!(refused(&|bytes| bytes[8] = 2), FilterError::Version);
    assert_eq!(refused(&|bytes| bytes.truncate(20)), FilterError::Length);
    assert_eq!(refused(&|bytes| bytes.push(0)), FilterError::Length);
    assert_eq!(refused(&|bytes| bytes[HEADER] ^= 1), FilterError::Checksum);
    let sealed = |bytes: &mut Vec<u8>| {
        bytes[12] = 33;
        seal(bytes);
    };
    assert_eq!(refused(&sealed), FilterError::BadHeader);
    assert_eq!(build(&[], 3).unwrap_err(), BuildError::Notes);
    assert_eq!(build(&[], 4).unwrap_err(), BuildError::NoPassage);
}

#[test]
fn one_of_256_unknown_passages_is_claimed() {
    let mut rng = Pcg32::new(1, 1);
    let notes = (0..100_000).map(|_| note(54 + below(&mut rng, 13) as u8, 0.25)).collect();
    let songs = [song("long.mid", notes)];
    for notes in [8, 16] {
        let bytes = build(&songs, notes).unwrap();
        let filter = Filter::from_bytes(&bytes).unwrap();
        let keys = keys(&songs, notes);
        assert!(keys.len() > 99_000 && bytes.len() * 8 < keys.len() * 10, "{}", bytes.len());
        let wrong = false_positives(&filter, &keys, 200_000);
        assert!((0.003..0.005).contains(&wrong), "{wrong}");
    }
}
