//! Pianola on a board: power it, and it plays from the model in its flash.
//!
//! The application knows its board only through [`Board`]; the same code runs on every board.
#![no_std]
#![forbid(unsafe_code)]

use pianola_runtime::{Generator, Model, ModelError, Note, Sampling};

/// What the application needs of a board.
pub trait Board {
    /// A number to start a piece from, different each time the board is powered.
    fn seed(&mut self) -> u64;

    /// Plays a note: waits for its step, then sounds it. Returns `false` to end the piece.
    fn play(&mut self, note: &Note) -> bool;
}

/// Plays one piece, from the model file that lies at `model_region` in flash.
///
/// # Errors
/// [`ModelError`] if the region does not hold a model; nothing is played then.
pub fn play_piece(board: &mut impl Board, model_region: &[u8]) -> Result<(), ModelError> {
    let model = Model::from_bytes(model_region)?;
    let mut generator: Generator = Generator::new(&model, board.seed())?;
    while board.play(&generator.next_note(&Sampling::default())) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what it plays, up to 20 notes.
    struct Mock([Option<Note>; 20]);

    impl Board for Mock {
        fn seed(&mut self) -> u64 {
            5
        }

        fn play(&mut self, note: &Note) -> bool {
            match self.0.iter_mut().find(|slot| slot.is_none()) {
                Some(slot) => {
                    *slot = Some(*note);
                    true
                }
                None => false,
            }
        }
    }

    const MODEL: &[u8] = include_bytes!("../../models/report-int8.safetensors");

    #[test]
    fn a_board_plays_what_the_host_composes() {
        let mut board = Mock([None; 20]);
        assert_eq!(play_piece(&mut board, MODEL), Ok(()));
        let model = Model::from_bytes(MODEL);
        let mut host = model.as_ref().map(|model| Generator::<3, 512>::new(model, 5));
        for played in board.0 {
            let composed = match &mut host {
                Ok(Ok(generator)) => Some(generator.next_note(&Sampling::default())),
                _ => None,
            };
            assert!(played.is_some() && played == composed);
        }
    }

    #[test]
    fn an_erased_region_is_silent() {
        let mut board = Mock([None; 20]);
        assert!(play_piece(&mut board, &[0xff; 4096]).is_err());
        assert_eq!(board.0, [None; 20]);
    }
}
