//! Prints the messages that a board must send: `MODEL SEED NOTES TEMPERATURE DENSITY`, the last two
//! as the positions of the board's knobs.

use anyhow::Context;
use pianola_runtime::{Control, Controls, Model};
use pianola_tests::stream::played;

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, numbers @ ..] = &arguments[..] else { anyhow::bail!("no model") };
    let numbers = numbers.iter().map(|number| Ok(number.parse::<u32>()?));
    let numbers = numbers.collect::<anyhow::Result<Vec<_>>>()?;
    let [seed, notes, temperature, density] = numbers[..] else { anyhow::bail!("four numbers") };
    let mut controls = Controls::default();
    Control::Temperature.set(&mut controls, u8::try_from(temperature)?);
    Control::Density.set(&mut controls, u8::try_from(density)?);

    let file = std::fs::read(path).with_context(|| path.clone())?;
    let model = Model::from_bytes(&file)?;
    for (time, message) in played(&model, seed.into(), notes as usize, &controls)? {
        let bytes = message.bytes();
        let &[status, first, second] = bytes.from(0) else { anyhow::bail!("{message:?}") };
        println!("{} {status} {first} {second}", time.as_micros());
    }
    Ok(())
}
