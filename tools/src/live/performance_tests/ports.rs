//! Ports that stall, get lost, or send back what they get.

use pianola_runtime::controller;

use super::stage::{Stage, ms, note};
use super::*;

/// Messages of the silence at the start.
const SILENCE: usize = 133;

#[test]
fn every_note_is_played_and_ended() {
    let mut stage = Stage::new(None);
    stage.pass(3_000);
    assert!(stage.instrument.starts > 500);
    stage.end();
    assert!(stage.instrument.is_silent());
    assert_eq!(stage.performance.jitter.notes(), stage.instrument.starts as u64);
}

#[test]
fn a_port_that_stalls_delays_the_music() {
    for room in [0, 100, 3 * SILENCE, 3 * SILENCE + 100, 3 * SILENCE + 101] {
        let mut stage = Stage::new(None);
        stage.room = room;
        stage.pass(2_000);
        let before = stage.instrument.count;
        assert_eq!(before, room / 3);
        stage.room = usize::MAX;
        stage.pass(1_000);
        assert!(stage.instrument.starts > 100);
        stage.end();
        assert!(stage.instrument.is_silent());
    }
}

#[test]
fn a_lost_port_is_silenced_when_it_is_back() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    stage.pass(500);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::note_on(20, 80));
    stage.pass(5);
    assert!(!stage.instrument.is_silent() && stage.instrument.pedals[0] == 127);
    stage.performance.handle(Input::Lost, stage.now);
    stage.receive(Message::control(controller::SUSTAIN, 0));
    stage.receive(Message::note_off(20));
    stage.pass(100);
    let starts = stage.instrument.starts;
    stage.performance.handle(Input::Found, stage.now);
    stage.pass(20);
    assert!(stage.instrument.pedals[0] == 0 && stage.instrument.sounding == 0);
    stage.pass(1_000);
    assert!(stage.instrument.starts > starts);
}

/// Pause and continue work while the port is lost, and what was last asked for holds when it is back.
#[test]
fn a_lost_port_comes_back_to_the_state_last_asked_for() {
    for pauses in 0..3 {
        let mut stage = Stage::new(None);
        stage.pass(500);
        stage.performance.handle(Input::Lost, stage.now);
        stage.pass(20);
        for _ in 0..pauses {
            // As the view's key does.
            let shown = stage.updates.iter().rev().find_map(|update| match update {
                Update::Activity(activity) => Some(*activity),
                _ => None,
            });
            let paused = shown.is_some_and(Activity::is_paused);
            let command = if paused { TransportCommand::Continue } else { TransportCommand::Stop };
            stage.performance.handle(Input::Asked(Event::Transport(command)), stage.now);
            stage.pass(20);
        }
        stage.performance.handle(Input::Found, stage.now);
        let starts = stage.instrument.starts;
        stage.pass(1_000);
        assert_eq!(stage.instrument.starts > starts, pauses != 1, "{pauses} times");
    }
}

#[test]
fn a_pedal_that_waits_at_a_congested_port_is_lifted_at_the_end() {
    let mut stage = Stage::duet(Mode::Answer, true);
    stage.pass(10);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::control(controller::SOFT, 127));
    stage.serve();
    assert_eq!(stage.instrument.pedals, [127, 0, 127]);
    stage.room = 0;
    stage.receive(Message::control(controller::SUSTAIN, 0));
    stage.serve();
    stage.room = usize::MAX;
    stage.end();
    assert!(stage.instrument.is_silent());
}

#[test]
fn a_note_that_comes_too_late_is_late() {
    let mut stage = Stage::duet(Mode::Accompany, false);
    assert!(stage.pass(400) > 0);
    assert!(stage.performance.jitter.quantile(1.0) < ms(5));
    // All queued notes are played, then there is no input for a while.
    stage.answers = false;
    stage.pass(1_600);
    stage.performance.handle(Input::Note(note(1)), stage.now);
    stage.serve();
    assert!(stage.performance.jitter.quantile(1.0) > ms(250));
}

/// A controller that silences everything is echoed in a form that cannot be recognized.
#[test]
fn traffic_never_grows() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    let mut sent = 0;
    for _ in 0..2_000 {
        let before = stage.instrument.count;
        stage.pass(1);
        for _ in before..stage.instrument.count {
            stage.receive(Message::control(controller::ALL_SOUND_OFF, 1));
        }
        sent = stage.instrument.count;
    }
    assert!(sent <= 3 * SILENCE, "{sent} messages");
}

/// A soft thru: everything is echoed, the silencing messages at the start too.
#[test]
fn what_comes_back_changes_nothing() {
    for (mode, echo) in [(Mode::Accompany, false), (Mode::Accompany, true), (Mode::Answer, true)] {
        for latency in [0, 3, 60, 250] {
            let mut alone = Stage::duet(mode, echo);
            let mut looped = Stage::duet(mode, echo);
            (looped.loops, looped.latency) = (Some(VecDeque::new()), ms(latency));
            for stage in [&mut alone, &mut looped] {
                stage.pass(1_000);
                // A key, played and released; then the same again.
                for _ in 0..2 {
                    stage.receive(Message::note_on(90, 33));
                    stage.pass(100);
                    stage.receive(Message::note_off(90));
                    stage.pass(2_000);
                }
            }
            let counts = [&alone, &looped].map(|stage| stage.instrument.count);
            assert_eq!(counts[0], counts[1], "{mode:?} {echo} {latency} ms");
            assert!(looped.instrument.starts > 100);
            let told = looped.updates.iter().filter(|update| **update == Update::Echoing);
            assert_eq!(told.count(), 1);
            assert!(!alone.updates.contains(&Update::Echoing));
        }
    }
}
