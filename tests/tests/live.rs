//! `pianola play` on a serial line: the messages received, and their times.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

use std::fs;
use std::hint::black_box;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{self, sleep};
use std::time::{Duration, Instant};

use pianola_host::midi_file::{Tracks, read};
use pianola_runtime::Message;
use pianola_tests::instrument::{DENSE, Instrument, Playing, Signal, scheduled, until};
use pianola_tests::{pianola, refuse, root};
use rand_pcg::Pcg32;
use rand_pcg::rand_core::Rng;
use rustix::termios::{Winsize, tcsetwinsize};

/// Messages that silence whatever sounds, at the start and at the end.
const SILENCING: usize = 133;

/// Signals that ask a program to end.
const ENDS: [Signal; 8] = [
    Signal::INT,
    Signal::TERM,
    Signal::HUP,
    Signal::QUIT,
    Signal::USR1,
    Signal::USR2,
    Signal::ALARM,
    Signal::XCPU,
];

/// One test at a time: they measure time, and load the machine.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plays a number of notes; returns the received messages, and the program's last line.
fn play_through(seed: u64, notes: usize) -> (Instrument, String) {
    let instrument = Instrument::plug_in();
    let count = notes.to_string();
    let (printed, _) =
        Playing::on(&instrument.path, seed, &[&DENSE[..], &["--notes", &count]].concat()).end();
    assert!(printed.starts_with(&format!("played {notes} notes, late by ")), "{printed}");
    instrument.must_be_silent();
    (instrument, printed)
}

/// The maximum lateness of a note, in milliseconds, from the program's last line.
fn most_late(printed: &str) -> f64 {
    let (before, _) = printed.rsplit_once(" ms at most").unwrap();
    before.rsplit_once(' ').unwrap().1.parse().unwrap()
}

fn arrives_as_scheduled(notes: usize) {
    let _alone = alone();
    let expected = scheduled(5, notes);
    for _ in 0..5 {
        let (instrument, printed) = play_through(5, notes);
        // A machine that stalled this long has delayed the music, as intended.
        if most_late(&printed) > 5.0 {
            eprintln!("once more, for this machine stalled: {printed}");
            continue;
        }
        let messages = instrument.messages();
        let received: Vec<Message> = messages.iter().map(|&(_, message)| message).collect();
        let alike = received.iter().zip(&expected).take_while(|(one, other)| one == other).count();
        let differ = |messages: &[Message]| {
            format!("{:?}", &messages[alike..(alike + 4).min(messages.len())])
        };
        assert!(
            received == expected,
            "from message {alike} of {} on: {}, not {}; {printed}",
            expected.len(),
            differ(&received),
            differ(&expected)
        );
        return;
    }
    panic!("this machine stalls too often");
}

#[test]
fn what_is_scheduled_arrives_byte_for_byte() {
    arrives_as_scheduled(400);
}

#[test]
#[ignore = "takes half a minute"]
fn two_thousand_notes_arrive_byte_for_byte() {
    arrives_as_scheduled(2000);
}

/// Under load, notes may be late, but none is lost.
#[test]
fn on_a_busy_machine_nothing_is_lost() {
    let _alone = alone();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 * thread::available_parallelism().unwrap().get() {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    black_box(0);
                }
            });
        }
        let (instrument, printed) = play_through(6, 300);
        over.store(true, Ordering::Relaxed);
        eprintln!("on a busy machine: {}", printed.trim());
        let pitches: Vec<u8> = instrument.starts().into_iter().map(|(_, pitch)| pitch).collect();
        let expected: Vec<u8> = scheduled(6, 300).iter().filter_map(Message::started).collect();
        assert_eq!(pitches, expected);
    });
}

#[test]
fn interrupted_at_any_moment_it_leaves_nothing_sounding() {
    let _alone = alone();
    let mut rng = Pcg32::new(1, 1);
    let mut sounded = 0;
    for _ in 0..5 {
        let performances: Vec<_> = (0..10)
            .map(|seed| {
                let instrument = Instrument::plug_in();
                let playing = Playing::on(&instrument.path, seed, &DENSE);
                (instrument, playing, Duration::from_millis(u64::from(rng.next_u32() % 1500)))
            })
            .collect();
        thread::scope(|scope| {
            let interrupt = |(instrument, mut playing, moment): (Instrument, Playing, Duration)| {
                // Before its first byte, the program has not started.
                instrument.wait_until_open();
                sleep(moment);
                playing.signal(ENDS[moment.subsec_millis() as usize % ENDS.len()]);
                playing.end();
                instrument.must_be_silent();
                instrument.starts().len()
            };
            let threads: Vec<_> =
                performances.into_iter().map(|one| scope.spawn(move || interrupt(one))).collect();
            for thread in threads {
                sounded += usize::from(thread.join().unwrap() > 0);
            }
        });
    }
    assert!(sounded > 20, "only {sounded} of 50 had begun");
}

/// An instrument unplugged and plugged in again: the music waits, and continues.
#[test]
fn a_line_that_was_lost_is_opened_again() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line");
    let first = Instrument::plug_in();
    symlink(&first.path, &path).unwrap();
    let mut playing = Playing::on(&path, 3, &[&DENSE[..], &["--notes", "200"]].concat());
    let before: Vec<u8> = first.wait_for(50).into_iter().map(|(_, pitch)| pitch).collect();
    drop(first);
    sleep(Duration::from_millis(500));
    fs::remove_file(&path).unwrap();
    let second = Instrument::plug_in();
    symlink(&second.path, &path).unwrap();
    let (_, said) = playing.end();
    assert!(said.contains("line is gone") && said.contains("line is back"), "{said}");
    assert_eq!(said.matches("gone").count(), 1, "{said}");

    second.must_be_silent();
    let messages = second.messages();
    assert!(messages.iter().take(SILENCING).all(|(_, message)| message.started().is_none()));
    // Only notes that started while the line was lost are missing.
    let all: Vec<u8> = scheduled(3, 200).iter().filter_map(Message::started).collect();
    let after: Vec<u8> = second.starts().into_iter().map(|(_, pitch)| pitch).collect();
    assert!(all.starts_with(&before) && all.ends_with(&after), "{before:?} {after:?} {all:?}");
    let missing = all.len() - before.len() - after.len();
    assert!(missing < 10, "{missing} notes are missing");
}

#[test]
fn a_model_that_cannot_be_played_leaves_the_line_silenced() {
    let instrument = Instrument::plug_in();
    let mut command = pianola();
    command.arg("play").arg("--serial").arg(&instrument.path);
    let error = refuse(command.arg("--model").arg(root().join("README.md")));
    assert!(error.contains("not a Pianola model"), "{error}");
    instrument.must_be_silent();
    assert!(instrument.messages().len() >= SILENCING);
}

/// The terminal is another pseudo-terminal, controlled by the test.
#[test]
fn in_a_terminal_it_shows_itself_and_keys_work() {
    let _alone = alone();
    let (instrument, terminal) = (Instrument::plug_in(), Instrument::plug_in());
    let end = || {
        let file = fs::OpenOptions::new().read(true).write(true).open(&terminal.path).unwrap();
        let size = Winsize { ws_row: 24, ws_col: 80, ws_xpixel: 0, ws_ypixel: 0 };
        tcsetwinsize(&file, size).unwrap();
        file
    };
    let mut command = pianola();
    command.args(["play", "--seed", "1", "--port"]).arg(&instrument.path);
    let mut program = command.stdin(end()).stdout(end()).stderr(end()).spawn().unwrap();
    instrument.wait_for(3);
    // Three steps up from 1, as shown on the screen.
    (0..3).for_each(|_| terminal.press(b"\x1b[C"));
    let shows = |what: &str| terminal.text().contains(what);
    until("it plays, and the value is shown", || shows("playing") && shows("15"));
    // Paused, nothing starts; then it continues.
    terminal.press(b" ");
    until("it is paused", || shows("paused"));
    instrument.must_be_silent();
    let count = instrument.starts().len();
    sleep(Duration::from_millis(1000));
    assert_eq!(instrument.starts().len(), count);
    terminal.press(b" ");
    instrument.wait_for(count + 3);
    terminal.press(b"q");
    assert!(program.wait().unwrap().success());
    instrument.must_be_silent();
    assert!(terminal.text().contains(" notes, late by "), "{}", terminal.text());
}

/// A closed window: the program ends, and saves the recording.
#[test]
fn a_terminal_that_goes_away_ends_it() {
    let _alone = alone();
    let folder = tempfile::tempdir().unwrap();
    let record = folder.path().join("kept.mid");
    let (instrument, terminal) = (Instrument::plug_in(), Instrument::plug_in());
    let mut command = pianola();
    command.args(["play", "--seed", "1", "--port"]).arg(&instrument.path);
    command.arg("--record").arg(&record);
    let end = || fs::OpenOptions::new().read(true).write(true).open(&terminal.path).unwrap();
    command.stdin(end()).stdout(end()).stderr(end());
    let mut program = command.spawn().unwrap();
    drop(command);
    instrument.wait_for(5);
    drop(terminal);
    until("it ends", || program.try_wait().unwrap().is_some());
    instrument.must_be_silent();
    let kept = read(&fs::read(record).unwrap(), Tracks::All).unwrap();
    assert_eq!(kept.len(), instrument.starts().len());
}

/// Ctrl-Z: nothing sounds while the program is stopped, and it continues afterwards.
#[test]
fn stopped_by_its_terminal_it_is_silent_and_goes_on_later() {
    let _alone = alone();
    let instrument = Instrument::plug_in();
    let mut playing = Playing::on(&instrument.path, 1, &DENSE);
    for _ in 0..3 {
        instrument.wait_for(instrument.starts().len() + 20);
        playing.signal(Signal::TSTP);
        until("it is stopped", || playing.is_stopped());
        instrument.must_be_silent();
        playing.signal(Signal::CONT);
    }
    instrument.wait_for(instrument.starts().len() + 20);
    playing.signal(Signal::INT);
    playing.end();
    instrument.must_be_silent();
}

#[test]
fn what_cannot_be_a_port_is_refused() {
    for wrong in ["/", "/nowhere/at/all", "no such port", "99"] {
        let error = refuse(pianola().args(["play", "--port", wrong]));
        assert!(error.contains(wrong), "{error}");
    }
    let error = refuse(pianola().args(["play", "--seconds", "0", "--port", "/x"]));
    assert!(error.contains("--seconds"), "{error}");
}

/// Time from the start of the process to its first byte.
#[test]
fn the_first_byte_comes_soon() {
    let _alone = alone();
    let mut times: Vec<Duration> = (0..8)
        .map(|seed| {
            let instrument = Instrument::plug_in();
            let start = Instant::now();
            let mut playing = Playing::on(&instrument.path, seed, &["--notes", "1"]);
            playing.end();
            instrument.messages()[0].0 - start
        })
        .collect();
    times.sort();
    eprintln!("first byte after {:?} (median of 8), {:?} at most", times[4], times[7]);
    assert!(times[0] < Duration::from_millis(100), "{times:?}");
}

/// Jitter measured at the instrument.
#[test]
#[ignore = "measures this machine, which must be idle"]
fn notes_are_on_time() {
    let _alone = alone();
    // Other load on the host may stall this machine; hardly three times.
    let punctual = (0..3).any(|_| {
        let (_, printed) = play_through(7, 2000);
        eprint!("{printed}");
        let (before, _) = printed.rsplit_once(" ms at p99").unwrap();
        let p99: f64 = before.rsplit_once(' ').unwrap().1.parse().unwrap();
        p99 < 2.0
    });
    assert!(punctual);
}
