//! Files of other programs through the real binary: their formats, folders as users have
//! them, and inputs that cannot be measured.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};

use pianola_host::midi_file::{Endings, MidiFile, Tracks, read, to_relative, write};
use pianola_runtime::Note;
use pianola_tests::{pianola, refuse, root, run, succeed};
use tempfile::tempdir;

fn case(name: &str) -> PathBuf {
    root().join("tests/cases").join(name)
}

/// A song whose pitches differ from those of other numbers.
fn song(number: usize) -> Vec<u8> {
    let pitch = |at: usize| 40 + ((at * (number + 3) + number) % 41) as u8;
    let note = |at| Note { pitch: pitch(at), velocity: 80, step: 0.25, duration: 0.125 };
    write(&(0..100).map(note).collect::<Vec<_>>())
}

fn corpus(folder: &Path, songs: usize) -> PathBuf {
    let corpus = folder.join("corpus");
    fs::create_dir(&corpus).unwrap();
    for number in 0..songs {
        fs::write(corpus.join(format!("{number}.mid")), song(number)).unwrap();
    }
    corpus
}

fn errors(command: &mut std::process::Command) -> String {
    let output = run(command);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {errors}");
    errors
}

#[test]
fn pictures_sounds_and_primers_have_the_notes_without_a_release() {
    let folder = tempdir().unwrap();
    // The picture equals that of the same notes with releases.
    let hanging = MidiFile::open(&case("24-last-chord-hanging.mid")).unwrap();
    let played = hanging.notes(Tracks::All, Endings::AsPlayed).unwrap();
    assert_eq!(played.len(), 43);
    let released = folder.path().join("released.mid");
    fs::write(&released, write(&to_relative(&played))).unwrap();
    let out = folder.path().join("out.svg");
    let [as_found, as_released] = [case("24-last-chord-hanging.mid"), released].map(|file| {
        succeed(pianola().arg("plot").arg(file).arg("--out").arg(&out));
        fs::read_to_string(&out).unwrap().matches("<rect").count()
    });
    assert_eq!(as_found, as_released);

    let sound = folder.path().join("out.wav");
    let mut render = pianola();
    render.args(["render", "--plain"]).arg(case("24b-ended-by-cc123.mid")).arg("--out").arg(&sound);
    // Two seconds of music and the fade-out.
    assert!(succeed(&mut render).contains(": 3.5 s"));

    let piece = folder.path().join("piece.mid");
    let mut generate = pianola();
    generate.args(["generate", "--notes", "8", "--seed", "1", "--prime"]);
    succeed(generate.arg(case("24b-ended-by-cc123.mid")).arg("--out").arg(&piece));
    let notes = read(&fs::read(&piece).unwrap(), Tracks::All).unwrap();
    assert_eq!(notes.iter().take(3).map(|note| note.pitch).collect::<Vec<_>>(), [60, 64, 67]);
}

#[test]
fn drums_never_open_a_melody() {
    let folder = tempdir().unwrap();
    let piece = folder.path().join("piece.mid");
    let mut generate = pianola();
    generate.args(["generate", "--notes", "8", "--seed", "1", "--hands", "right", "--prime"]);
    succeed(generate.arg(case("25c-drums-start-first-pitch35.mid")).arg("--out").arg(&piece));
    let notes = read(&fs::read(&piece).unwrap(), Tracks::All).unwrap();
    assert!(notes.iter().take(8).all(|note| ![35, 38].contains(&note.pitch)), "{notes:?}");
}

#[test]
fn what_was_repaired_is_said_once() {
    let folder = tempdir().unwrap();
    let file = case("30-realtime-f8-inline.mid");
    let out = folder.path().join("out.svg");
    let said = errors(pianola().arg("plot").arg(&file).arg("--out").arg(&out));
    assert_eq!(
        said,
        format!("warning: {}: ignored system messages within a track\n", file.display())
    );
    let said = errors(pianola().arg("inspect").arg(&file));
    assert_eq!(said.matches("ignored system messages").count(), 1, "{said}");
    let said = refuse(pianola().arg("plot").arg(case("16-tempo0.mid")).arg("--out").arg(&out));
    assert!(said.contains("16-tempo0.mid: holds times that no music has"), "{said}");
}

#[test]
fn inspect_describes_a_piece_of_another_program() {
    let file = case("24-last-chord-hanging.mid");
    let printed = succeed(pianola().arg("inspect").arg(&file));
    assert_eq!(
        printed,
        format!(
            "{}: 43 notes, 11 s\n  unnamed: 43 notes, pitches 48 to 83\nnot composed by `pianola generate`, or \
             edited since\n",
            file.display()
        )
    );
}

#[cfg(unix)]
#[test]
fn an_endless_primer_is_refused() {
    let said = refuse(pianola().args(["generate", "--prime", "/dev/zero", "--out", "never.mid"]));
    assert!(said.contains("/dev/zero: larger than 32 MiB"), "{said}");
}

#[test]
fn a_soundfont_larger_than_its_file_is_refused_before_it_is_read() {
    let folder = tempdir().unwrap();
    let piece = folder.path().join("piece.mid");
    fs::write(&piece, song(1)).unwrap();
    let out = folder.path().join("out.wav");
    let render = |font: &Path| {
        let mut render = pianola();
        render.arg("render").arg(&piece).arg("--out").arg(&out).arg("--soundfont").arg(font);
        refuse(&mut render)
    };
    let said = render(&case("info2g.sf2"));
    assert!(said.contains("info2g.sf2") && said.contains("larger than the file"), "{said}");

    // The same false length in each list, and in its chunk.
    let list = |kind: &[u8; 4], chunk: &[u8; 4], lies: [u32; 2]| {
        let body = [chunk.as_slice(), &(4 + lies[1]).to_le_bytes(), &[2, 0, 1, 0]].concat();
        let length = body.len() as u32 + 4 + lies[0];
        [b"LIST", length.to_le_bytes().as_slice(), kind, &body].concat()
    };
    let lists = [(b"INFO", b"ifil"), (b"sdta", b"smpl"), (b"pdta", b"phdr")];
    for place in 0..lists.len() {
        for lies in [[0x7fff_ff00, 0], [0, 0x7fff_ff00], [0xffff_fff0 - 16, 0xffff_fff0 - 16]] {
            let mut font = b"RIFF\0\0\0\0sfbk".to_vec();
            for (at, (kind, chunk)) in lists.iter().enumerate() {
                font.extend(list(kind, chunk, if at == place { lies } else { [0, 0] }));
            }
            let path = folder.path().join("lying.sf2");
            fs::write(&path, font).unwrap();
            let said = render(&path);
            assert!(said.contains("damaged"), "{place} {lies:x?}: {said}");
        }
    }
}

/// Tests run as root, which can read everything, so they start the program as `nobody`.
#[cfg(unix)]
#[test]
fn an_unreadable_folder_is_a_warning() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::process::CommandExt;
    let folder = tempdir().unwrap();
    let open = |path: &Path| fs::set_permissions(path, fs::Permissions::from_mode(0o777)).unwrap();
    open(folder.path());
    let corpus = corpus(folder.path(), 10);
    let closed = corpus.join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o000)).unwrap();
    // The binary may be in a folder that only its owner can read: `nobody` runs a copy.
    let copy = folder.path().join("tools");
    fs::copy(pianola().get_program(), &copy).unwrap();
    let mut filter = std::process::Command::new(&copy);
    if fs::metadata(folder.path()).unwrap().uid() == 0 {
        filter.uid(65534).gid(65534);
    }
    let out = folder.path().join("out.filter");
    filter.arg("filter").arg("--corpus").arg(&corpus).arg("--out").arg(&out);
    let said = errors(filter.current_dir(folder.path()));
    fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
    assert!(said.starts_with("warning: ") && said.contains("closed: cannot read"), "{said}");
    assert!(out.is_file());
}

#[test]
fn copies_in_a_corpus_are_said() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path(), 10);
    fs::copy(corpus.join("3.mid"), corpus.join("copy.mid")).unwrap();
    let out = folder.path().join("out.filter");
    let filter = |more: &[&Path]| {
        let mut filter = pianola();
        filter.arg("filter").arg("--corpus").arg(&corpus).arg("--out").arg(&out);
        if let [split] = more {
            filter.arg("--split").arg(split);
        }
        errors(&mut filter)
    };
    let said = filter(&[]);
    assert!(said.contains("duplicates in the corpus: 1 exact"), "{said}");
    let split = folder.path().join("split.tsv");
    fs::write(&split, "split\tfile\ntrain\t3.mid\ntest\tcopy.mid\n").unwrap();
    let said = filter(&[&split]);
    assert!(said.contains("over several sets: 3.mid (train), copy.mid (test)"), "{said}");
}

#[test]
fn what_cannot_be_measured_is_said() {
    let folder = tempdir().unwrap();
    let corpus = corpus(folder.path(), 4);
    let split = folder.path().join("split.tsv");
    fs::write(&split, "split\tfile\ntest\t0.mid\ntest\t1.mid\n").unwrap();
    let mut evaluate = pianola();
    evaluate.arg("evaluate").arg("--corpus").arg(&corpus).arg("--split").arg(&split);
    let printed = succeed(evaluate.args(["--pieces", "1", "--notes", "100"]));
    assert!(printed.contains("the baselines cannot be measured"), "{printed}");
    assert!(!printed.contains("n-gram") && !printed.contains("unigram"), "{printed}");
    assert!(printed.contains("the right hand cannot be measured"), "{printed}");
    assert!(!printed.contains("on the right hand alone"), "{printed}");

    let piece = folder.path().join("piece.mid");
    fs::write(&piece, song(7)).unwrap();
    let printed = succeed(pianola().arg("compare").arg(&piece).arg("--corpus").arg(&corpus));
    assert!(printed.contains("ratios cannot be measured"), "{printed}");
    let ratio = printed.lines().find(|line| line.starts_with("mean ratio")).unwrap();
    assert!(ratio.ends_with('-'), "{ratio}");
}
