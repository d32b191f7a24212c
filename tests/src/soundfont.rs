//! A SoundFont for tests.

/// Zones of the preset and of the instrument: where the generators of each begin, and the generators. A generator is a
/// number and its value: 41 is the instrument, 53 the sample, 54 the loop mode. The last of each is a terminator.
pub struct Zones {
    /// Of the preset.
    pub preset: (Vec<u16>, Vec<[u16; 2]>),
    /// Of the instrument.
    pub instrument: (Vec<u16>, Vec<[u16; 2]>),
}

/// One zone each.
pub fn one_zone() -> Zones {
    let preset = (vec![0, 1], vec![[41, 0], [0, 0]]);
    let instrument = (vec![0, 2], vec![[54, 1], [53, 0], [0, 0]]);
    Zones { preset, instrument }
}

/// The smallest SoundFont: one preset of one instrument of one sample, a looped sine.
pub fn soundfont() -> Vec<u8> {
    soundfont_of(&one_zone())
}

/// As [`soundfont`], with other zones.
pub fn soundfont_of(zones: &Zones) -> Vec<u8> {
    fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
        let length = (body.len() as u32).to_le_bytes();
        [id, &length[..], body].concat()
    }
    fn list(kind: &[u8; 4], chunks: &[Vec<u8>]) -> Vec<u8> {
        chunk(b"LIST", &[&kind[..], &chunks.concat()].concat())
    }
    let words =
        |words: &[u16]| words.iter().flat_map(|word| word.to_le_bytes()).collect::<Vec<_>>();
    let longs =
        |longs: &[u32]| longs.iter().flat_map(|long| long.to_le_bytes()).collect::<Vec<_>>();
    let name = |text: &str| {
        let mut name = text.as_bytes().to_vec();
        name.resize(20, 0);
        name
    };
    // 100 samples per period: 441 Hz, near A4, which is note 69.
    let sine = (0..2000u32)
        .map(|at| (20_000.0 * (f64::from(at) * std::f64::consts::TAU / 100.0).sin()) as i16 as u16);
    let sine: Vec<u16> = sine.chain([0; 46]).collect();

    let bags = |starts: &[u16]| words(&starts.iter().flat_map(|&at| [at, 0]).collect::<Vec<_>>());
    let last_bag = |starts: &[u16]| (starts.len() - 1) as u16;
    let (preset_bags, preset_generators) = &zones.preset;
    let (instrument_bags, instrument_generators) = &zones.instrument;
    let preset = |text, bag| [name(text), words(&[0, 0, bag]), longs(&[0, 0, 0])].concat();
    let instrument = |text, bag| [name(text), words(&[bag])].concat();
    let sample = [name("sine"), longs(&[0, 2000, 100, 1900, 44_100]), vec![69, 0], words(&[0, 1])];
    let last = [name("EOS"), vec![0; 26]];
    let presets = list(
        b"pdta",
        &[
            chunk(b"phdr", &[preset("organ", 0), preset("EOP", last_bag(preset_bags))].concat()),
            chunk(b"pbag", &bags(preset_bags)),
            chunk(b"pmod", &[0; 10]),
            chunk(b"pgen", &words(preset_generators.as_flattened())),
            chunk(
                b"inst",
                &[instrument("organ", 0), instrument("EOI", last_bag(instrument_bags))].concat(),
            ),
            chunk(b"ibag", &bags(instrument_bags)),
            chunk(b"imod", &[0; 10]),
            chunk(b"igen", &words(instrument_generators.as_flattened())),
            chunk(b"shdr", &[sample.concat(), last.concat()].concat()),
        ],
    );
    let info = list(b"INFO", &[chunk(b"ifil", &words(&[2, 1]))]);
    let data = list(b"sdta", &[chunk(b"smpl", &words(&sine))]);
    chunk(b"RIFF", &[b"sfbk".to_vec(), info, data, presets].concat())
}
