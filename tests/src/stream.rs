//! The timed MIDI messages of a piece: the expected output of a board.

use pianola_runtime::{Controls, Generator, Instant, Message, Model, ModelError, Player};

/// Plays a piece on this machine without delays: all messages from power on until this many
/// notes have started, with their due times.
///
/// # Errors
/// As those of [`Generator::new`].
pub fn played(
    model: &Model,
    seed: u64,
    notes: usize,
    controls: &Controls,
) -> Result<Vec<(Instant, Message)>, ModelError> {
    let mut generator = Generator::new(model, seed)?;
    let mut player: Player = Player::new(Instant::START);
    let mut messages = Vec::new();
    let (mut now, mut started) = (Instant::START, 0);
    while started < notes {
        while player.wants_note(now) {
            player.push(&controls.transpose(&generator.next_note(&controls.sampling)), now);
        }
        now = player.due().unwrap_or(now).max(now);
        while let Some(message) = player.next(now).filter(|_| started < notes) {
            started += usize::from(message.started().is_some());
            messages.push((now, message));
        }
    }
    Ok(messages)
}
