//! The bundled models: every instruction set of this machine computes the same bits from them.
#![allow(clippy::unwrap_used)]

use pianola_runtime::history::PartialNote;
use pianola_runtime::{Hands, Isa, Model, Network, Note, include_model};

const NOTES: u32 = 500;

static MODELS: [&[u8]; 5] = [
    include_model!("../../models/report-int8.safetensors"),
    include_model!("../../models/report-int4.safetensors"),
    include_model!("../../models/expressive-int8.safetensors"),
    include_model!("../../models/expressive-int4.safetensors"),
    include_model!("../../models/small-int4.safetensors"),
];

fn scripted(index: u32) -> Note {
    Note {
        pitch: 30 + (index * 31 % 60) as u8,
        velocity: 80,
        step: (index % 7) as f32 * 0.083,
        duration: (index % 11) as f32 * 0.071,
    }
}

/// All states and predictions, bit for bit.
fn bits(network: &Network) -> Vec<u32> {
    let states = (0..).map_while(|layer| network.state(layer));
    let mut floats: Vec<f32> = states.flat_map(|(hidden, cell)| [hidden, cell].concat()).collect();
    for known in PartialNote::of(&scripted(9)) {
        floats.extend(network.predict(known).values());
    }
    floats.into_iter().map(f32::to_bits).collect()
}

#[test]
fn instruction_sets_agree_on_the_bundled_models() {
    for file in MODELS {
        let model = Model::from_bytes(file).unwrap();
        let mut networks: Vec<(Isa, Network)> = Isa::available()
            .map(|isa| (isa, Network::on(isa, &model, Hands::Both).unwrap()))
            .collect();
        for index in 0..NOTES {
            let (first, others) = networks.split_first().unwrap();
            let expected = bits(&first.1);
            for (isa, network) in others {
                assert!(bits(network) == expected, "{} differs at note {index}", isa.name());
            }
            networks.iter_mut().for_each(|(_, network)| network.observe(&scripted(index)));
        }
    }
}
