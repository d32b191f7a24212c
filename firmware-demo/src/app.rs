//! The application: generates notes ahead of time and plays them.

use core::mem;

use pianola_runtime::{Generator, Keys, Micros, Model, ModelError};

use crate::board::Board;
use crate::fault;
use crate::port::Port;

/// Plays from the model at the start of `region` in flash, until the board is switched off. If there
/// is no playable model, the board reports why and stays silent.
pub fn run(board: &mut impl Board, region: &[u8]) {
    let mut port = Port::new(board.now());
    silence(board, &mut port);
    let error = match Model::in_region(region) {
        // By reference: each move of a generator can take its size on the stack again.
        Ok(model) => match &mut Generator::new(&model, board.seed()) {
            Ok(generator) => return play(board, &mut port, generator),
            Err(error) => *error,
        },
        Err(error) => error,
    };
    refuse(board, &mut port, &error);
}

/// Ends all notes that a reset has left sounding, before the slow check of the model. Does not wait
/// for a stalled port.
fn silence(board: &mut impl Board, port: &mut Port) {
    /// One and a half times as long as the messages take at 31,250 baud.
    const PATIENCE: Micros = Micros::from_millis(190);
    let start = board.now();
    while !port.is_quiet() && board.now() - start < PATIENCE && board.is_on() {
        port.receive(board);
        port.send(board);
        board.idle();
    }
}

fn play(board: &mut impl Board, port: &mut Port, generator: &mut Generator) {
    port.player.stop(board.now());
    while board.is_on() {
        port.serve(board);
        if mem::take(&mut port.new_piece) {
            port.player.stop(board.now());
            port.keys = Keys::default();
            let seed = board.seed();
            generator.restart_with_poll(seed, || port.serve(board));
        }
        if let Some(note) = port.keys.next(board.now()) {
            generator.observe_with_poll(&note, || port.serve(board));
        } else if port.transport.is_playing() && port.player.wants_note(board.now()) {
            let sampling = port.controls.sampling;
            let note = generator.next_note_with_poll(&sampling, || port.serve(board));
            // A panic message may have arrived in the meantime.
            if port.transport.is_playing() && !port.new_piece {
                port.player.push(&port.controls.transpose(&note), board.now());
            }
        } else {
            board.idle();
        }
    }
}

fn refuse(board: &mut impl Board, port: &mut Port, error: &ModelError) {
    board.report(error);
    while board.is_on() {
        board.feed_watchdog();
        port.send(board);
        let now = board.now();
        board.light(fault::light(error, now));
        board.idle();
    }
}
