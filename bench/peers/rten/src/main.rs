//! rten as a worker: answers the lines that `worker.py` describes. Arguments: model, threads.

use std::io::{self, BufRead, Write};
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use rten::{Model, ModelOptions, NodeId, RunOptions, ThreadPool, Value, ValueOrView};
use rten_tensor::NdTensor;
use rten_tensor::prelude::*;

const BOS: i32 = 128;

struct Engine {
    model: Model,
    inputs: Vec<NodeId>,
    outputs: Vec<NodeId>,
    options: RunOptions,
    /// Inputs: pitch and times, then each layer's hidden and cell state.
    fed: Vec<Value>,
    /// Logits of the pitch, then step and duration.
    expected: Vec<Value>,
}

impl Engine {
    fn new(path: &str, threads: usize) -> anyhow::Result<Self> {
        let model = ModelOptions::with_all_ops().prepack_weights(true).load_file(path)?;
        let (inputs, outputs) = (model.input_ids().to_vec(), model.output_ids().to_vec());
        let mut options = RunOptions::default();
        options.thread_pool = Some(Arc::new(ThreadPool::with_num_threads(threads)));
        let (fed, expected) = (Vec::new(), Vec::new());
        let mut engine = Self { model, inputs, outputs, options, fed, expected };
        engine.restart()?;
        Ok(engine)
    }

    fn restart(&mut self) -> anyhow::Result<()> {
        let hidden = self.model.input_shape(2).context("the model has no states")?;
        let [_, rten::Dimension::Fixed(hidden)] = hidden[..] else { bail!("a state of no width") };
        self.fed = vec![NdTensor::<f32, 2>::zeros([1, hidden]).into(); self.inputs.len()];
        self.prepare(BOS, 0.0, 0.0);
        self.run()
    }

    fn prepare(&mut self, pitch: i32, step: f32, duration: f32) {
        self.fed[0] = NdTensor::from_data([1], vec![pitch]).into();
        self.fed[1] = NdTensor::from_data([1, 2], vec![step, duration]).into();
    }

    fn run(&mut self) -> anyhow::Result<()> {
        let fed = self.fed.drain(..).map(ValueOrView::from);
        let inputs = self.inputs.iter().copied().zip(fed).collect();
        let mut outputs = self.model.run(inputs, &self.outputs, Some(self.options.clone()))?;
        let states = outputs.drain(2..);
        self.fed.extend([Value::from(0), Value::from(0)].into_iter().chain(states));
        self.expected = outputs;
        Ok(())
    }

    fn prediction(&self) -> anyhow::Result<Vec<f32>> {
        let mut numbers = Vec::new();
        for value in &self.expected {
            let value: NdTensor<f32, 2> = value.clone().try_into()?;
            numbers.extend(value.iter());
        }
        Ok(numbers)
    }

    /// Nanoseconds of each note after the first `warm`.
    fn time(&mut self, warm: usize, notes: usize) -> anyhow::Result<Vec<u128>> {
        let mut times = Vec::new();
        for note in 0..warm + notes {
            let pitch = 21 + (note * 31 % 88) as i32;
            self.prepare(pitch, (note % 7) as f32 / 7.0, (note % 11) as f32 / 11.0);
            let start = Instant::now();
            self.run()?;
            times.push(start.elapsed().as_nanos());
        }
        Ok(times.split_off(warm))
    }
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [path, threads] = &arguments[..] else { bail!("usage: rten-worker MODEL THREADS") };
    let mut engine = match Engine::new(path, threads.parse()?) {
        Ok(engine) => engine,
        Err(error) => {
            println!("{{\"error\": {:?}}}", format!("{error:#}"));
            return Ok(());
        }
    };
    println!("{{\"version\": \"0.27.0\", \"setting\": \"\"}}");
    for line in io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["restart"] => {
                engine.restart()?;
                println!("null");
            }
            ["observe", pitch, step, duration] => {
                engine.prepare(pitch.parse()?, step.parse()?, duration.parse()?);
                engine.run()?;
                println!("{:?}", engine.prediction()?);
            }
            ["time", warm, notes] => println!("{:?}", engine.time(warm.parse()?, notes.parse()?)?),
            _ => bail!("unknown line: {line}"),
        }
        io::stdout().flush()?;
    }
    Ok(())
}
