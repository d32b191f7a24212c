//! Plays a trained LSTM piano model, note for note the same on every machine.
//!
//! The principle: **a note depends on the model file, the seed and the notes heard, and on nothing
//! else.** Not on the instruction set, the compiler or the platform's mathematics: sums of
//! quantized weights times activations are integer sums, exact in any order, and every float
//! operation around them is a fixed sequence of IEEE single operations, written out here. Nothing
//! is allocated; a model file is used where it lies, be it a mapped file or flash.
//!
//! ```
//! use pianola_runtime::{Generator, Model, Note, Sampling};
//!
//! # fn main() -> Result<(), pianola_runtime::ModelError> {
//! let file = include_bytes!("../../models/expressive-int8.safetensors");
//! let model = Model::from_bytes(file)?; // checks the file; copies nothing
//!
//! let mut generator: Generator = Generator::new(&model, 42)?; // seed 42
//! generator.observe(&Note { pitch: 60, velocity: 80, step: 0.0, duration: 0.5 }); // or not
//! let calm = Sampling::with_temperature(0.9);
//! for _ in 0..3 {
//!     let note = generator.next_note(&calm);
//!     assert!(note.pitch < 128 && note.step >= 0.0 && note.duration >= 0.0);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What there is
//!
//! | | |
//! |---|---|
//! | [`Model`] | a checked view of a model file, `&[u8]` in, no copy |
//! | [`Generator`] | notes one by one: [`observe`](Generator::observe), [`next_note`](Generator::next_note), [`restart`](Generator::restart); of several pieces [together](Generator::next_notes) |
//! | `Pair` | (`std`) a generator on two threads |
//! | [`guard`] | a filter of passages that must not come up again, and the notes it forbids |
//! | [`Sampling`] | temperature, top-k and top-p of each part of a note, [`Scale`], register, polyphony, density and guards; may change between two notes |
//! | [`Note`] | pitch, velocity, step and duration |
//! | [`Player`] | notes in, MIDI messages out, each at its time |
//! | [`MidiParser`], [`Keys`] | the way back: bytes into messages, pressed keys into notes |
//! | [`Event`], [`Transport`] | what messages ask for, and what that does to a performance |
//! | [`Controls`], [`Control`] | what can be changed while music plays, and the controllers for it |
//! | [`SentMessages`] | tells messages that come back from those that someone plays |
//! | [`Instant`], [`Micros`] | moments and lengths of time |
//! | [`Isa`] | the instruction sets, for those who compare them; otherwise the fastest is chosen |
//! | [`Network`] | the forward pass alone, for those who measure: [`predict`](Network::predict), [`observe`](Network::observe), [`state`](Network::state) |
//!
//! [`Generator`] and [`Network`] hold their buffers inline. Their type says how large:
//! `Generator<'_, 2, 256>` has room for 2 layers of 256 units, and the default, `Generator`, for
//! the report's 3 of 512 in 16 KB.
//!
//! # Features
//!
//! `std` (on by default) adds what hosts need around the player: [`midi_file`], [`corpus`],
//! [`measures`] and [`evaluation`], [`originality`] and [`filter`], [`weights`] and [`export`].
//! Boards turn it off; those of a Cortex-M4, M7 or M33 turn on `cortex-m-dsp`.
#![cfg_attr(not(feature = "std"), no_std)]
// `unsafe` is for the files in `kernels/` alone.
#![deny(unsafe_code)]

mod generate;
mod kernels;
mod math;
mod midi;
mod model;
mod network;
mod note;
#[cfg(feature = "std")]
mod pair;

pub use generate::{Generator, Sampling, SamplingParams, guard};
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
pub use note::{Note, Scale, passage, vocabulary};
#[cfg(feature = "std")]
pub use pair::Pair;
