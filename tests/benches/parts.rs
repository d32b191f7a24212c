//! Times the parts of a note, by precision and instruction set: `cargo bench`.
//!
//! `pianola bench` measures whole notes against the memory bandwidth; this shows where the time goes.
#![allow(clippy::unwrap_used, reason = "the bundled models open")]

use std::sync::LazyLock;

use divan::{Bencher, counter::ItemsCount};
use pianola_runtime::history::PartialNote;
use pianola_runtime::{
    Generator, Hands, Isa, Model, Network, Note, Sampling, SamplingParams, include_model,
};

fn main() {
    divan::main();
}

static INT8: &[u8] = include_model!("../../models/report-int8.safetensors");
static INT4: &[u8] = include_model!("../../models/report-int4.safetensors");

/// A bundled model on one of this machine's instruction sets.
#[derive(Clone, Copy)]
struct Case {
    model: &'static Model<'static>,
    isa: Isa,
}

impl Case {
    fn all() -> impl Iterator<Item = Self> {
        static MODELS: LazyLock<[Model; 2]> =
            LazyLock::new(|| [INT8, INT4].map(|file| Model::from_bytes(file).unwrap()));
        MODELS.iter().flat_map(|model| Isa::available().map(move |isa| Self { model, isa }))
    }

    fn network(self) -> Network<'static> {
        Network::on(self.isa, self.model, Hands::Both).unwrap()
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}, {}", self.model.precision(), self.isa.name())
    }
}

const NOTE: Note = Note { pitch: 60, velocity: 80, step: 0.2, duration: 0.3 };

/// The layers.
#[divan::bench(args = Case::all())]
fn observe(bencher: Bencher, case: &Case) {
    let mut network = case.network();
    bencher.bench_local(|| network.observe(&NOTE));
}

/// The layers for sixteen pieces that share each weight, by piece.
#[divan::bench(args = Case::all())]
fn observe_batch_of_16(bencher: Bencher, case: &Case) {
    let mut networks = vec![case.network(); 16];
    let notes = [NOTE; 16];
    bencher
        .counter(ItemsCount::new(16usize))
        .bench_local(|| Network::observe_batch(&mut networks, &notes));
}

/// The heads.
#[divan::bench(args = Case::all())]
fn predict(bencher: Bencher, case: &Case) {
    let network = case.network();
    bencher.bench_local(|| PartialNote::of(&NOTE).map(|known| network.predict(known)));
}

/// A whole note: heads, sampling and layers; with and without sorting the tokens.
#[divan::bench(args = Case::all(), consts = [false, true])]
fn note<const SORTED: bool>(bencher: Bencher, case: &Case) {
    let top_p = if SORTED { 0.95 } else { 1.0 };
    let params = SamplingParams::with_temperature(1.0).with_top_p(top_p);
    let sampling = Sampling::with_params(params);
    let mut generator = Generator::from_network(case.network(), 1);
    bencher.bench_local(|| generator.next_note(&sampling));
}

/// Opening a model file: its header and its checksum.
#[divan::bench(args = ["int8", "int4"])]
fn open(bencher: Bencher, precision: &str) {
    let file = if precision == "int8" { INT8 } else { INT4 };
    bencher.bench(|| Model::from_bytes(file).unwrap().checksum());
}
