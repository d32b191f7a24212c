//! The application: makes up notes ahead of their time, and plays them.

use pianola_runtime::{Generator, Model, ModelError};

use crate::board::Board;
use crate::fault;
use crate::port::{Port, Wish};

/// Plays from the model that lies at the start of `region` in flash, until the board is switched
/// off. If there is none that can be played, the board says why, and is silent.
pub fn run(board: &mut impl Board, region: &[u8]) {
    let mut port = Port::new(board.now());
    // Whatever a reset has left sounding ends before the model is checked, which takes a while.
    port.send(board);
    let error = match Model::in_region(region) {
        Ok(model) => match Generator::new(&model, board.seed()) {
            Ok(generator) => return play(board, &mut port, generator),
            Err(error) => error,
        },
        Err(error) => error,
    };
    refuse(board, &mut port, &error);
}

fn play(board: &mut impl Board, port: &mut Port, mut generator: Generator) {
    port.player.stop(board.now());
    while board.is_on() {
        port.serve(board);
        if port.wish.take() == Some(Wish::NewPiece) {
            port.stop(board.now());
            let seed = board.seed();
            generator.restart_meanwhile(seed, || port.serve(board));
            port.playing = true;
        }
        if let Some(note) = port.keys.next(board.now()) {
            generator.hear_meanwhile(&note, || port.serve(board));
        } else if port.playing && port.player.wants_note(board.now()) {
            let sampling = port.controls.sampling;
            let note = generator.next_note_meanwhile(&sampling, || port.serve(board));
            // Someone may have asked for silence in the meantime.
            if port.playing && port.wish.is_none() {
                port.player.push(&port.controls.shape(&note), board.now());
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
