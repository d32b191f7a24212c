//! A player ends every note that it starts and lifts the pedals, whatever its input.
#![no_main]

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use pianola_runtime::{Instant, Micros, Note, Player};

#[derive(Arbitrary, Debug)]
enum Event {
    Push {
        pitch: u8,
        velocity: u8,
        step: f32,
        duration: f32,
    },
    /// Time passes, in milliseconds, with the port open or stalled.
    Pass(u16, bool),
    Forget,
    Stop,
    Panic,
}

fuzz_target!(|events: Vec<Event>| {
    let mut now = Instant::START;
    // A small number of slots, so that they run out.
    let mut player = Player::<4, 3>::new(now);
    let mut sounding = 0u128;
    let mut play = |player: &mut Player<4, 3>, until: Instant| {
        let mut messages = 0;
        while player.due().is_some_and(|due| due <= until) {
            let Some(message) = player.next(until) else { break };
            if let Some(pitch) = message.started() {
                assert_eq!(sounding >> pitch & 1, 0, "{pitch} starts twice");
                sounding |= 1 << pitch;
            }
            if let Some(pitch) = message.ended() {
                sounding &= !(1 << pitch);
            }
            messages += 1;
            assert!(messages < 1000, "it does not end");
        }
        sounding
    };
    for event in events {
        match event {
            Event::Push { pitch, velocity, step, duration } => {
                player.push(&Note { pitch, velocity, step, duration }, now);
            }
            Event::Pass(millis, open) => {
                now += Micros::from_millis(millis.into());
                if open {
                    play(&mut player, now);
                }
            }
            Event::Forget => player.forget(now),
            Event::Stop => player.stop(now),
            Event::Panic => player.panic(now),
        }
    }
    player.stop(now);
    assert_eq!(play(&mut player, Instant::MAX), 0, "a note is left sounding");
    assert!(player.due().is_none() && player.sounding() == 0);
});
