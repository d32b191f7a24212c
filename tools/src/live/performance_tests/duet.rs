//! Playing with a partner.

use pianola_runtime::{SentMessages, controller};
use proptest::prelude::*;

use super::stage::{Stage, ms, note};
use super::*;

#[test]
fn it_answers_after_a_pause_and_hands_over_when_a_key_is_pressed() {
    let mut stage = Stage::duet(Mode::Answer, false);
    assert_eq!(stage.pass(100), 0, "plays with nothing to answer to");
    stage.receive(Message::note_on(60, 81));
    assert_eq!(stage.pass(100), 0, "answers while a key is held");
    stage.receive(Message::note_off(60));
    assert_eq!(stage.pass(30), 0, "answers too soon");
    assert!(stage.pass(100) > 0);
    assert!(stage.instrument.sounding != 0 && stage.instrument.starts > 10);

    stage.receive(Message::note_on(60, 81).on_channel(5));
    stage.serve();
    assert_eq!(stage.instrument.sounding, 0);
    let before = stage.instrument.starts;
    assert_eq!(stage.pass(100), 0);
    assert_eq!(stage.instrument.starts, before);
}

#[test]
fn all_notes_off_after_the_last_release_is_a_release() {
    let mut stage = Stage::duet(Mode::Answer, false);
    stage.pass(2_000);
    stage.receive(Message::note_on(60, 81));
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0));
    assert!(stage.pass(150) > 0);
    // Panic in the middle of the answer.
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0));
    assert_eq!(stage.pass(150), 0);
}

#[test]
fn a_note_on_its_way_while_it_hands_over_is_never_heard() {
    let mut stage = Stage::duet(Mode::Answer, false);
    stage.answers = false;
    stage.receive(Message::note_on(60, 81));
    stage.receive(Message::note_off(60));
    stage.pass(60);
    assert!(stage.performance.wanted.asked);
    stage.receive(Message::note_on(62, 81));
    stage.performance.handle(Input::Note(note(1)), stage.now);
    stage.serve();
    assert_eq!(stage.instrument.starts, 0);
    assert!(!stage.performance.wanted.asked && stage.performance.player.due().is_none());
}

#[test]
fn it_plays_on_under_a_partner_and_plans_anew_what_has_not_started() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    assert!(stage.pass(400) > 0);
    let before = stage.forgotten;
    for pitch in [20, 21] {
        stage.receive(Message::note_on(pitch, 81));
        assert!(stage.pass(20) > 0);
    }
    assert_eq!(stage.forgotten - before, 2);
    let passed_on = bit(20) | bit(21);
    assert_eq!(stage.instrument.sounding & passed_on, passed_on);
    stage.end();
    assert!(stage.instrument.is_silent());
}

#[test]
fn a_panic_button_silences_both_until_a_key_is_pressed() {
    let mut stage = Stage::duet(Mode::Accompany, true);
    stage.pass(2_000);
    stage.receive(Message::control(controller::SUSTAIN, 127));
    stage.receive(Message::control(controller::ALL_NOTES_OFF, 0).on_channel(3));
    assert_eq!(stage.pass(50), 0);
    assert!(stage.instrument.is_silent());
    stage.receive(Message::note_on(60, 81));
    assert!(stage.pass(50) > 0);
}

#[test]
fn percussion_is_not_heard_and_hands_have_channels() {
    let mut stage = Stage::with(Setup {
        duet: Some(Duet { mode: Mode::Answer, gap: ms(50), echo: true }),
        map: ControllerMap::default(),
        listen: Channels::PITCHED,
        output: OutputChannels { right: 2, left: 5 },
    });
    stage.pass(100);
    stage.receive(Message::note_on(36, 80).on_channel(9));
    stage.receive(Message::note_off(36).on_channel(9));
    assert_eq!(stage.pass(500), 0);
    stage.receive(Message::note_on(36, 80));
    stage.receive(Message::note_off(36));
    stage.pass(1_000);
    for message in &stage.instrument.messages {
        let pitch = message.started().or(message.ended());
        if let Some(pitch) = pitch {
            let channel = if pitch < 60 { 5 } else { 2 };
            assert_eq!(message.channel(), Some(channel));
        }
    }
    let silenced = |channel| {
        let lifted = Message::control(controller::SUSTAIN, 0).on_channel(channel);
        stage.instrument.messages.contains(&lifted)
    };
    assert!(silenced(2) && silenced(5));
}

proptest! {
    #[test]
    fn a_key_that_is_struck_again_is_heard_where_nothing_comes_back(
        gaps in proptest::collection::vec(5u64..400, 1..30)
    ) {
        let mut stage = Stage::duet(Mode::Accompany, true);
        stage.answers = false;
        stage.pass(SentMessages::<1>::WINDOW.as_micros() / 1000 + 10);
        for gap in &gaps {
            stage.receive(Message::note_on(60, 64));
            stage.pass(*gap);
            stage.receive(Message::note_off(60));
            stage.pass(*gap);
        }
        prop_assert_eq!(stage.instrument.starts, gaps.len());
    }
}
