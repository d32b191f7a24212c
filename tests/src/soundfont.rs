//! A SoundFont for tests.

/// The smallest SoundFont: one preset of one instrument of one sample, a looped sine.
pub fn soundfont() -> Vec<u8> {
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

    // A generator is a number and its value: 41 is the instrument, 53 the sample, 54 the loop mode.
    let preset = |text, bag| [name(text), words(&[0, 0, bag]), longs(&[0, 0, 0])].concat();
    let instrument = |text, bag| [name(text), words(&[bag])].concat();
    let sample = [name("sine"), longs(&[0, 2000, 100, 1900, 44_100]), vec![69, 0], words(&[0, 1])];
    let last = [name("EOS"), vec![0; 26]];
    let presets = list(
        b"pdta",
        &[
            chunk(b"phdr", &[preset("organ", 0), preset("EOP", 1)].concat()),
            chunk(b"pbag", &words(&[0, 0, 1, 0])),
            chunk(b"pmod", &[0; 10]),
            chunk(b"pgen", &words(&[41, 0, 0, 0])),
            chunk(b"inst", &[instrument("organ", 0), instrument("EOI", 1)].concat()),
            chunk(b"ibag", &words(&[0, 0, 2, 0])),
            chunk(b"imod", &[0; 10]),
            chunk(b"igen", &words(&[54, 1, 53, 0, 0, 0])),
            chunk(b"shdr", &[sample.concat(), last.concat()].concat()),
        ],
    );
    let info = list(b"INFO", &[chunk(b"ifil", &words(&[2, 1]))]);
    let data = list(b"sdta", &[chunk(b"smpl", &words(&sine))]);
    chunk(b"RIFF", &[b"sfbk".to_vec(), info, data, presets].concat())
}
