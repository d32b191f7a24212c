//! Generates piano music from a trained LSTM, note for note the same on every machine.
//!
//! The principle: **a note depends on the model file, the seed, the options and the notes observed,
//! and on nothing else.** It does not depend on the instruction set, the compiler or the platform's
//! math library: products of quantized weights and activations are summed as integers, exact in any
//! order, and all other arithmetic is a fixed sequence of IEEE single-precision operations, written
//! in Rust. Nothing is allocated; the weights are read from the model file in place, in memory or
//! in flash.
//!
//! ```
//! use pianola_runtime::{Generator, Model, ModelError, Note, Sampling, include_model};
//!
//! static MODEL: &[u8] = include_model!("../tests/models/expressive-small-int8.safetensors");
//!
//! fn main() -> Result<(), ModelError> {
//!     let model = Model::from_bytes(MODEL)?; // checks the file; copies nothing
//!     let mut generator = Generator::new(&model, 42)?; // seed 42
//!
//!     // A note of another player: the piece continues from it. Optional.
//!     generator.observe(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 });
//!
//!     let sampling = Sampling::with_temperature(0.9).with_guards();
//!     for note in generator.notes(&sampling).take(10) {
//!         println!("{:5.2} s later: pitch {} for {:.2} s", note.step, note.pitch, note.duration);
//!     }
//!     Ok(())
//! }
//! ```
//!
//! The repository's `models/` folder has trained models. `examples/` has programs for a host, for a
//! bare-metal board and for a duet.
//!
//! # Overview
//!
//! | item | purpose |
//! |---|---|
//! | [`Model`] | a checked view of a model file: `&[u8]` in, no copy; [`include_model!`] embeds one |
//! | [`Generator`] | generates notes: [`notes`](Generator::notes), or one by one [`next_note`](Generator::next_note) and [`observe`](Generator::observe); several pieces [in a batch](Generator::next_notes) |
//! | [`Start`] | how a piece starts: its seed, and whether it is for both hands or for the right alone |
//! | [`Sampling`] | temperature, top-k and top-p for each part of a note, [`Scale`], register, polyphony, density and guards; may change between two notes |
//! | [`Note`] | pitch, velocity, step (inter-onset interval) and duration |
//! | [`guard`] | the originality guard: a filter that holds the passages of some songs, and the guard that blocks them |
//! | [`Player`] | notes in, MIDI messages out, each at its time |
//! | [`MidiParser`], [`Keys`] | bytes into MIDI messages, pressed keys into notes |
//! | [`Event`], [`Transport`] | what an incoming MIDI message asks of a performance; whether it plays, is paused or stopped |
//! | [`Controls`], [`Control`] | what can be changed while music plays, and which MIDI controllers change it |
//! | [`SentMessages`] | recognizes echoes: sent messages that come back |
//! | [`Instant`], [`Micros`] | points in time and durations |
//! | `Pair` | (feature `std`) a generator on two threads |
//! | [`Network`] | the forward pass alone: [`predict`](Network::predict), [`observe`](Network::observe), [`state`](Network::state) |
//! | [`Isa`] | the instruction sets; by default the fastest is used, and benchmarks and tests select others |
//!
//! # Memory
//!
//! [`Generator`] and [`Network`] hold their buffers inline, with a capacity in their type:
//! `Generator<'_, 2, 256>` has room for models of up to 2 layers of 256 units. The default,
//! `Generator`, has room for 3 layers of 512 units and takes 16 KB. Weights stay in the file.
//!
//! # Features
//!
//! | feature | what it adds |
//! |---|---|
//! | `std` (default) | detects the instruction set at run time, and adds `Pair`; boards turn it off |
//! | `cortex-m-dsp` | kernels for Cortex-M4, M7 and M33; compile with that `target-cpu` |
//! | `defmt` | `defmt::Format` for notes, sampling and errors |
//! | `embedded-io` | the module `embedded_io`: MIDI over serial ports |
//!
//! MIDI files, corpora, statistics, and packing weights into model files are in the crate
//! `pianola-host`.
#![cfg_attr(not(feature = "std"), no_std)]
// `unsafe` is for the files in `kernels/` only.
#![deny(unsafe_code)]

#[cfg(feature = "embedded-io")]
pub mod embedded_io;
mod generate;
mod kernels;
mod math;
mod midi;
mod model;
mod network;
mod note;
#[cfg(feature = "std")]
mod pair;

pub use generate::{Generator, Notes, Sampling, SamplingParams, Start, guard};
pub use kernels::Isa;
pub use midi::{
    Assignment, Bytes, Channels, Control, Controls, Event, Instant, Keys, Message, Micros,
    MidiParser, Player, SentMessages, Transport, TransportCommand, TransportState, controller,
    polyphony,
};
pub use model::format::{
    BOS, FORMAT_VERSION, MAX_HEAD_HIDDEN, MAX_HIDDEN, MAX_LAYERS, PITCHES, Precision,
};
pub use model::{Model, ModelError, format};
pub use network::{Logits, Network, Prediction, history};
pub use note::vocabulary::Hands;
pub use note::{Note, Scale, passage, vocabulary};
#[cfg(feature = "std")]
pub use pair::Pair;

/// The README's example runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
