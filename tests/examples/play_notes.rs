//! Plays notes without any output: for tools that count instructions.

use anyhow::Context;
use pianola_runtime::{Isa, Model};
use pianola_tests::script::counted_piece;

fn main() -> anyhow::Result<()> {
    let usage = "usage: play_notes MODEL ISA NOTES";
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context(usage)?;
    let name = arguments.next().context(usage)?;
    let isa = Isa::available().find(|isa| isa.name() == name).context(name)?;
    let notes = arguments.next().context(usage)?.parse().context(usage)?;
    let file = std::fs::read(&path).with_context(|| path.clone())?;
    let model = Model::from_bytes(&file)?;
    for note in counted_piece(isa, &model)?.take(notes) {
        std::hint::black_box(note);
    }
    Ok(())
}
