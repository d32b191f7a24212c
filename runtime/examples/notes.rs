//! Prints the notes of a seed: `cargo run --example notes -- MODEL SEED`.

use std::error::Error;
use std::io::{self, Write};

use pianola_runtime::{Generator, Model, Sampling};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(path), Some(seed)) = (arguments.next(), arguments.next()) else {
        return Err("usage: notes MODEL SEED".into());
    };
    print(&std::fs::read(path)?, seed.parse()?, &mut io::stdout().lock())
}

/// Prints the first 20 notes, with the seconds since the start.
fn print(file: &[u8], seed: u64, out: &mut impl Write) -> Result<(), Box<dyn Error>> {
    let model = Model::from_bytes(file)?;
    let mut generator = Generator::new(&model, seed)?;
    let mut onset = 0.0;
    for note in generator.notes(&Sampling::default().with_guards()).take(20) {
        onset += note.step;
        let (pitch, velocity, duration) = (note.pitch, note.velocity, note.duration);
        writeln!(out, "{onset:7.3} s  pitch {pitch:3}  velocity {velocity:3}  {duration:6.3} s")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_prints_its_notes() -> Result<(), Box<dyn Error>> {
        let file = include_bytes!("../tests/models/expressive-small-int8.safetensors");
        let [mut first, mut again, mut other] = [const { Vec::new() }; 3];
        print(file, 1, &mut first)?;
        print(file, 1, &mut again)?;
        print(file, 2, &mut other)?;
        assert_eq!(first.iter().filter(|&&byte| byte == b'\n').count(), 20);
        assert!(first == again && first != other);
        assert!(print(&file[..99], 1, &mut other).is_err());
        Ok(())
    }
}
