//! Answers phrases: `cargo run --example duet -- MODEL` reads a line of pitches, such as
//! `60 64 67 72`, and answers with as many; an empty line starts another piece.
//!
//! The generator observes the notes played between its own, so each answer is conditioned on all notes
//! before it.

use std::error::Error;
use std::io::{self, BufRead, Write};

use pianola_runtime::{Generator, Model, Note, Sampling};

fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("usage: duet MODEL")?;
    play(&std::fs::read(path)?, io::stdin().lock(), &mut io::stdout().lock())
}

fn play(file: &[u8], phrases: impl BufRead, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let model = Model::from_bytes(file)?;
    let mut piece = 1;
    let mut generator = Generator::new(&model, piece)?;
    let sampling = Sampling::with_temperature(0.9).with_guards();
    for phrase in phrases.lines() {
        let phrase = phrase?;
        if phrase.trim().is_empty() {
            piece += 1;
            generator.restart(piece);
            writeln!(out, "piece {piece}")?;
            continue;
        }
        let mut played = 0;
        for pitch in phrase.split_whitespace() {
            let pitch = pitch.parse().map_err(|_| format!("{pitch} is no pitch from 0 to 127"))?;
            generator.observe(&Note { pitch, velocity: 80, step: 0.25, duration: 0.25 });
            played += 1;
        }
        let answer = generator.notes(&sampling).take(played).map(|note| note.pitch.to_string());
        writeln!(out, "{}", answer.collect::<Vec<_>>().join(" "))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(phrases: &str) -> Result<Vec<String>, Box<dyn Error>> {
        let file = include_bytes!("../tests/models/expressive-small-int8.safetensors");
        let mut out = Vec::new();
        play(file, phrases.as_bytes(), &mut out)?;
        Ok(String::from_utf8(out)?.lines().map(str::to_string).collect())
    }

    #[test]
    fn answers_are_as_long_as_phrases_and_follow_them() -> Result<(), Box<dyn Error>> {
        let heard = answers("60 64 67 72\n60 64 67 72\n\n60\n")?;
        let lengths: Vec<usize> = heard.iter().map(|line| line.split(' ').count()).collect();
        assert_eq!(lengths, [4, 4, 2, 1]);
        assert_eq!(heard[2], "piece 2");
        assert_ne!(heard[0], heard[1], "the second answer follows the first");
        assert_ne!(heard[0], answers("20 21 22 23\n")?[0], "other phrases, other answers");
        assert!(answers("60 c4\n").is_err());
        Ok(())
    }
}
