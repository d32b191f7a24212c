//! Messages at random times, and random faults.

use pianola_runtime::controller;

use super::stage::{Stage, ms, note};
use super::*;

/// A million messages, and faults of every kind.
#[test]
fn a_million_messages_leave_nothing_sounding() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    };
    let mut heard = 0;
    for mode in [Mode::Answer, Mode::Accompany] {
        for echo in [false, true] {
            let mut stage = Stage::duet(mode, echo);
            heard += torture(&mut stage, &mut random);
            stage.performance.handle(Input::Found, stage.now);
            stage.room = usize::MAX;
            stage.end();
            assert!(stage.instrument.is_silent(), "{mode:?} {echo}");
        }
    }
    assert!(heard >= 1_000_000, "{heard}");
}

/// Messages at random times, and random faults; returns their number.
fn torture(stage: &mut Stage, random: &mut impl FnMut(u64) -> u64) -> usize {
    const MESSAGES: usize = 250_001;
    let mut heard = 0;
    while heard < MESSAGES {
        match random(40) {
            // A flood of one kind of message or of all.
            0 => {
                let kind = random(6);
                for _ in 0..random(2_000) {
                    stage.receive(message(kind, random));
                    heard += 1;
                }
            }
            // The port accepts nothing, a few bytes, or everything again.
            1 => stage.room = 0,
            2 => stage.room = random(200) as usize,
            3..6 => stage.room = usize::MAX,
            // The port is lost, and comes back.
            6 => stage.performance.handle(Input::Lost, stage.now),
            7..10 => stage.performance.handle(Input::Found, stage.now),
            10 => stage.performance.handle(Input::Deaf, stage.now),
            // The echo is switched on or off.
            11 => (stage.loops, stage.latency) = (Some(VecDeque::new()), ms(random(1_200))),
            12 => stage.loops = None,
            13 => stage.answers = random(4) > 0,
            // The process is suspended.
            14 => stage.performance.fall_silent(stage.now),
            _ => {
                let kind = random(6);
                stage.receive(message(kind, random));
                heard += 1;
            }
        }
        if stage.answers && stage.performance.wanted.asked {
            stage.performance.handle(Input::Note(note(heard)), stage.now);
        }
        for _ in 0..random(4) {
            stage.serve();
            stage.now += Micros::from_micros(random(30_000));
        }
        assert!(stage.performance.outgoing.waiting() < 600);
        let told = stage.performance.to_model.len() + stage.performance.updates.len();
        assert!(told < 20_000, "{told} wait");
        stage.updates.clear();
    }
    heard
}

fn message(kind: u64, random: &mut impl FnMut(u64) -> u64) -> Message {
    let (first, second) = (random(128) as u8, random(128) as u8);
    let channel = random(16) as u8;
    let whole = |status: u8| Message::from_parts(status | channel, first, second);
    let pedal = controller::PEDALS.into_iter().nth(random(3) as usize).unwrap_or_default();
    let found = match kind {
        0 => whole(0x90),
        1 => whole(0x80),
        2 => Some(Message::control(pedal, second)),
        3 => whole(0xb0),
        4 => Message::from_parts(0xf8 | channel & 7, 0, 0),
        _ => whole(0x80 | first & 0x70),
    };
    found.unwrap_or(Message::Start)
}
