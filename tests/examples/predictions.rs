//! Prints a model's predictions, for `bench/peers/run.py`: `predictions MODEL < NOTES`.
//!
//! A note is a line of pitch, step and duration. The first line printed is the prediction at the
//! start of a sequence, each further one the prediction after a note: 129 pitch logits,
//! step and duration, as JSON.

use std::io::stdin;

use anyhow::{Context, ensure};
use pianola_runtime::history::PartialNote;
use pianola_runtime::{Hands, Model, Network, Note};

fn print(network: &Network) -> anyhow::Result<()> {
    // The report's heads predict each part independently of the others.
    let pitch = network.predict(PartialNote::Step(0.0));
    let (step, duration) =
        (network.predict(PartialNote::Empty), network.predict(PartialNote::Pitch(0.0, 0)));
    let numbers = [pitch.values(), step.values(), duration.values()].concat();
    println!("{}", serde_json::to_string(&numbers)?);
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: predictions MODEL < NOTES")?;
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read {path}"))?;
    let model = Model::from_bytes(&bytes).with_context(|| path)?;
    let mut network: Network = Network::new(&model, Hands::Both)?;
    print(&network)?;
    for line in stdin().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        ensure!(words.len() == 3, "`{line}` is not a note: pitch, step and duration");
        let (pitch, velocity) = (words[0].parse()?, Note::DEFAULT_VELOCITY);
        let (step, duration) = (words[1].parse()?, words[2].parse()?);
        network.observe(&Note { pitch, velocity, step, duration });
        print(&network)?;
    }
    Ok(())
}
