//! Bits that instruction sets compute from a model; also included by the tests of the bundled models.
#![allow(clippy::unwrap_used)]

use pianola_runtime::history::PartialNote;
use pianola_runtime::{Hands, Isa, Model, Network, Note};

/// Notes that take many values.
pub fn scripted(index: u32) -> Note {
    Note {
        pitch: 30 + (index * 31 % 60) as u8,
        velocity: 80,
        step: (index % 7) as f32 * 0.083,
        duration: (index % 11) as f32 * 0.071,
    }
}

/// All states and predictions, bit for bit.
pub fn bits(network: &Network) -> Vec<u32> {
    let states = (0..).map_while(|layer| network.state(layer));
    let mut floats: Vec<f32> = states.flat_map(|(hidden, cell)| [hidden, cell].concat()).collect();
    for known in PartialNote::of(&scripted(9)) {
        floats.extend(network.predict(known).values());
    }
    floats.into_iter().map(f32::to_bits).collect()
}

/// Every instruction set of this machine computes the portable bits of a model, over this many notes.
pub fn every_instruction_set_agrees(file: &[u8], notes: u32) {
    let model = Model::from_bytes(file).unwrap();
    let mut portable: Network = Network::on(Isa::PORTABLE, &model, Hands::Both).unwrap();
    let others = Isa::available().filter(|isa| isa.name() != Isa::PORTABLE.name());
    let isas: Vec<Isa> = others.collect();
    let mut networks: Vec<Network> =
        isas.iter().map(|&isa| Network::on(isa, &model, Hands::Both).unwrap()).collect();
    for index in 0..notes {
        let expected = bits(&portable);
        for (isa, network) in isas.iter().zip(&networks) {
            assert!(bits(network) == expected, "{} differs at note {index}", isa.name());
        }
        let note = scripted(index);
        networks.iter_mut().for_each(|network| network.observe(&note));
        portable.observe(&note);
    }
}
