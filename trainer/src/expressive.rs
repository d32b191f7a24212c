//! The expressive network in libtorch, and its training data: whole songs in parallel streams.

use pianola_host::corpus::shuffle;
use pianola_runtime::history::{FEATURES, History, PartialNote};
use pianola_runtime::vocabulary::{CHOICES, Hands, PARTS, RIGHT_HAND, bins};
use pianola_runtime::{BOS, Note};
use rand_pcg::Pcg32;
use tch::{Device, Kind, Reduction, Tensor};

use crate::augmentation::Augmentation;
use crate::network::{Dropout, Network, State};
use crate::training_data::TrainingData;

/// A chunk of several songs, time-major. Arrays of four are in the order of [`PARTS`].
pub struct Batch {
    /// Bins of the previous note, `[time, batch]` each.
    inputs: [Tensor; 4],
    /// Count of each row of a head's feature table, `[time, batch, FEATURES]` each.
    features: [Tensor; 4],
    /// Bins to predict, `[time, batch]` each; [`IGNORE_INDEX`] after the end of a song.
    targets: [Tensor; 4],
    /// Factor of the state, `[1, batch, 1]`: 0 where a song begins, 1 elsewhere.
    keeps_state: Tensor,
    /// 1 for the right hand of a song alone, 0 for both hands: `[1, batch, 1]`.
    right_hand: Tensor,
    /// Number of notes to predict.
    notes: usize,
}

/// Input dropout: share of notes whose embedding is zeroed in training.
const INPUT_DROPOUT: f64 = 0.1;

/// Target that does not count in the loss, as PyTorch's `ignore_index`.
const IGNORE_INDEX: i64 = -100;

/// Mean cross-entropy of each part over the notes of a batch, in nats, and the state after them.
pub fn forward(
    network: &Network,
    batch: &Batch,
    state: &State,
    dropout: Dropout,
) -> (Vec<Tensor>, State) {
    let embedded: Vec<Tensor> = PARTS
        .iter()
        .zip(&batch.inputs)
        .map(|(part, input)| {
            let table = network.parameter(&format!("embedding.{part}.weight"));
            let embedded = Tensor::embedding(&table, input, -1, false, false);
            match *part {
                "pitch" => embedded + &batch.right_hand * table.get(i64::from(RIGHT_HAND)),
                _ => embedded,
            }
        })
        .collect();
    let state = State {
        hidden: &state.hidden * &batch.keeps_state,
        cell: &state.cell * &batch.keeps_state,
    };
    let mut input = Tensor::cat(&embedded, 2);
    if dropout.outputs > 0.0 {
        // Input dropout reduces overfitting to runs of notes, and makes samples more robust to unlikely notes.
        let size = [input.size()[0], input.size()[1], 1];
        input *= Tensor::ones(size, (network.compute, network.device)).dropout(INPUT_DROPOUT, true);
    }
    let (top, state) = network.lstm(&input, &state, dropout);
    let losses = (0..PARTS.len()).map(|head| {
        let name = format!("head.{}", PARTS[head]);
        let rows = network.parameter(&format!("{name}.features.weight"));
        let features = batch.features[head].to_kind(network.compute).matmul(&rows);
        let hidden = (network.dense(&format!("{name}.hidden"), &top) + features).relu();
        let logits = network.dense(&format!("{name}.output"), &hidden).to_kind(Kind::Float);
        logits.view([-1, CHOICES[head] as i64]).cross_entropy_loss::<Tensor>(
            &batch.targets[head].view(-1),
            None,
            Reduction::Mean,
            IGNORE_INDEX,
            0.0,
        )
    });
    (losses.collect(), state)
}

/// A song in one of the parallel streams.
#[derive(Clone, Default)]
struct Stream {
    notes: Vec<Note>,
    hands: Hands,
    /// Index of the next note to predict.
    at: usize,
    history: History,
}

impl Stream {
    /// A song from its start.
    fn new(notes: Vec<Note>, hands: Hands) -> Self {
        Self { notes, hands, ..Self::default() }
    }

    /// Writes the next notes into column `column` of a batch.
    fn fill(&mut self, column: usize, columns: &mut Columns) {
        let end = self.notes.len().min(self.at + columns.length);
        for (row, at) in (self.at..end).enumerate() {
            let note = &self.notes[at];
            let place = row * columns.width + column;
            let input = match at.checked_sub(1) {
                Some(before) => bins(&self.notes[before]),
                None => [0, BOS, 0, 0],
            };
            let known = PartialNote::of(note);
            for (head, target) in bins(note).into_iter().enumerate() {
                columns.inputs[head][place] = i64::from(input[head]);
                columns.targets[head][place] = i64::from(target);
                let rows = &mut columns.features[head][place * FEATURES[head]..][..FEATURES[head]];
                self.history.features(known[head], |row| rows[row] += 1);
            }
            self.history.observe(note);
        }
        columns.keeps_state[column] = if self.at == 0 { 0.0 } else { 1.0 };
        columns.right_hand[column] = if self.hands == Hands::Right { 1.0 } else { 0.0 };
        columns.notes += end - self.at;
        self.at = end;
    }
}

/// A batch in host memory.
struct Columns {
    length: usize,
    width: usize,
    inputs: [Vec<i64>; 4],
    features: [Vec<u8>; 4],
    targets: [Vec<i64>; 4],
    keeps_state: Vec<f32>,
    right_hand: Vec<f32>,
    notes: usize,
}

impl Columns {
    /// The next notes of all streams, up to `length` of each.
    fn of(streams: &mut [Stream], length: usize) -> Self {
        let (width, places) = (streams.len(), length * streams.len());
        let mut columns = Self {
            length,
            width,
            inputs: [0; 4].map(|bin| vec![bin; places]),
            features: FEATURES.map(|rows| vec![0; places * rows]),
            targets: [IGNORE_INDEX; 4].map(|target| vec![target; places]),
            keeps_state: vec![0.0; width],
            right_hand: vec![0.0; width],
            notes: 0,
        };
        for (column, stream) in streams.iter_mut().enumerate() {
            stream.fill(column, &mut columns);
        }
        columns
    }

    fn to_device(&self, device: Device) -> Batch {
        let (length, width) = (self.length as i64, self.width as i64);
        let bins = |bins: &[Vec<i64>; 4]| {
            bins.each_ref()
                .map(|bins| Tensor::from_slice(bins).view([length, width]).to_device(device))
        };
        let songs = |values| Tensor::from_slice(values).view([1, width, 1]).to_device(device);
        Batch {
            inputs: bins(&self.inputs),
            features: self.features.each_ref().map(|counts| {
                Tensor::from_slice(counts).view([length, width, -1]).to_device(device)
            }),
            targets: bins(&self.targets),
            keeps_state: songs(&self.keeps_state),
            right_hand: songs(&self.right_hand),
            notes: self.notes,
        }
    }
}

/// Songs from start to end, in parallel streams. The state carries over from batch to batch; when a song ends, its
/// stream continues with another song in the next batch.
pub struct Streams<'s> {
    /// Training songs: both hands, and the first instrument alone, the right hand.
    pub training: Vec<[&'s [Note]; 2]>,
    /// Validation songs.
    pub validation: Vec<&'s [Note]>,
    /// Number of streams.
    pub batch: usize,
    /// Notes per stream in a batch.
    pub length: usize,
    /// Transposition and tempo.
    pub augmentation: Augmentation,
    /// Seed of order and augmentation.
    pub seed: u64,
    streams: Vec<Stream>,
    /// Songs drawn so far.
    drawn: usize,
    carried: Option<State>,
}

/// Every second song is presented as its right hand alone. The model learns melodies that way, and overfits less.
const RIGHT_HAND_EVERY: usize = 2;

impl<'s> Streams<'s> {
    /// Streams at the start of the first epoch.
    pub fn new(
        training: Vec<[&'s [Note]; 2]>,
        validation: Vec<&'s [Note]>,
        (batch, length): (usize, usize),
        augmentation: Augmentation,
        seed: u64,
    ) -> Self {
        Self {
            training,
            validation,
            batch,
            length,
            augmentation,
            seed,
            streams: vec![Stream::default(); batch],
            drawn: 0,
            carried: None,
        }
    }

    /// Gives the next song to every stream that is at its end.
    fn refill(&mut self) {
        for stream in &mut self.streams {
            if stream.at < stream.notes.len() {
                continue;
            }
            // Every round has all songs once, in a new order.
            let (round, turn) =
                (self.drawn / self.training.len(), self.drawn % self.training.len());
            let mut order: Vec<usize> = (0..self.training.len()).collect();
            shuffle(&mut order, &mut Pcg32::new(self.seed, 2 * round as u64));
            let mut rng = Pcg32::new(self.seed, 2 * self.drawn as u64 + 1);
            let song = order[turn];
            let [both, right] = self.training[song];
            // Songs alternate from round to round. A song of one instrument has no right hand alone.
            let alone = (song + round).is_multiple_of(RIGHT_HAND_EVERY) && right.len() < both.len();
            let (notes, hands) = if alone { (right, Hands::Right) } else { (both, Hands::Both) };
            let mut notes = notes.to_vec();
            self.augmentation.apply(&mut notes, &mut rng);
            *stream = Stream::new(notes, hands);
            self.drawn += 1;
        }
    }

    fn next(&mut self) -> Columns {
        self.refill();
        Columns::of(&mut self.streams, self.length)
    }
}

impl TrainingData for Streams<'_> {
    fn parts(&self) -> &'static [&'static str] {
        &PARTS
    }

    fn updates(&self) -> usize {
        let batches = self.training.iter().map(|[song, _]| song.len().div_ceil(self.length));
        batches.sum::<usize>().div_ceil(self.batch)
    }

    fn seek(&mut self, epoch: usize, batch: usize) {
        if self.drawn > 0 {
            return; // epochs continue where the previous one ended
        }
        for _ in 0..epoch * self.updates() + batch {
            self.refill();
            for stream in &mut self.streams {
                let end = stream.notes.len().min(stream.at + self.length);
                stream.notes[stream.at..end].iter().for_each(|note| stream.history.observe(note));
                stream.at = end;
            }
        }
    }

    fn losses(&mut self, network: &Network, dropout: Dropout) -> Vec<Tensor> {
        let batch = self.next().to_device(network.device);
        let state = self.carried.take().unwrap_or_else(|| network.start(self.batch));
        let (losses, state) = forward(network, &batch, &state, dropout);
        self.carried = Some(State { hidden: state.hidden.detach(), cell: state.cell.detach() });
        losses
    }

    fn validate(&self, network: &Network) -> Vec<f64> {
        evaluate(network, &self.validation, EVALUATION_STREAMS).to_vec()
    }

    fn carried(&self) -> Option<&State> {
        self.carried.as_ref()
    }

    fn carry(&mut self, state: State) {
        self.carried = Some(state);
    }
}

/// Streams in evaluation: few enough that short songs fill up the streams until the longest song ends.
pub const EVALUATION_STREAMS: usize = 16;

/// Negative log-likelihood of songs from their start, in nats per note, by part.
pub fn evaluate(network: &Network, songs: &[&[Note]], streams: usize) -> [f64; 4] {
    const LENGTH: usize = 256;
    // The longest songs first, so that the streams end at about the same time.
    let mut order: Vec<&[Note]> = songs.to_vec();
    order.sort_by_key(|song| song.len());
    let mut streams = vec![Stream::default(); streams.min(songs.len())];
    let (mut sums, mut notes) = ([0.0; PARTS.len()], 0);
    tch::no_grad(|| {
        let mut state = network.start(streams.len());
        loop {
            for stream in &mut streams {
                if stream.at == stream.notes.len() {
                    let next = order.pop().unwrap_or_default().to_vec();
                    *stream = Stream::new(next, Hands::Both);
                }
            }
            let batch = Columns::of(&mut streams, LENGTH).to_device(network.device);
            if batch.notes == 0 {
                break;
            }
            let (means, next) = forward(network, &batch, &state, Dropout::NONE);
            state = next;
            for (sum, mean) in sums.iter_mut().zip(means) {
                *sum += mean.double_value(&[]) * batch.notes as f64;
            }
            notes += batch.notes;
        }
    });
    sums.map(|sum| sum / notes.max(1) as f64)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use pianola_host::export::pack;
    use pianola_host::export::weights::Shape;
    use pianola_host::statistics::evaluation::{Nll, ScoredSong};
    use pianola_runtime::{Model, Precision};

    use super::*;

    fn song(seed: u32, notes: u32) -> Vec<Note> {
        let note = |at: u32| {
            let mixed = (at + 31 * seed).wrapping_mul(0x9e37_79b9) >> 8;
            Note {
                pitch: 36 + (mixed % 60) as u8,
                velocity: 20 + (mixed / 64 % 100) as u8,
                step: if mixed.is_multiple_of(3) { 0.0 } else { (mixed % 89) as f32 / 90.0 },
                duration: (mixed % 211) as f32 / 70.0,
            }
        };
        (0..notes).map(note).collect()
    }

    /// The runtime's float path and libtorch agree on the negative log-likelihood, at full size, over songs that
    /// take several batches and end within one.
    #[test]
    fn the_runtime_agrees_with_libtorch() {
        tch::manual_seed(1);
        let network = Network::new(Shape::EXPRESSIVE, Device::Cpu);
        let songs: Vec<Vec<Note>> =
            [300, 40, 520].into_iter().zip(1..).map(|(n, s)| song(s, n)).collect();
        let songs: Vec<&[Note]> = songs.iter().map(Vec::as_slice).collect();
        let theirs = evaluate(&network, &songs, 2);
        let packed = pack(&network.to_weights(String::new()).unwrap(), Precision::Float).unwrap();
        let model = Model::from_bytes(&packed.bytes).unwrap();
        let heard = |&notes| ScoredSong { notes, hands: Hands::Both, marks: &[] };
        let heard: Vec<ScoredSong> = songs.iter().map(heard).collect();
        let [ours, _] = Nll::of_songs(&model, &heard).unwrap();
        let worst = ours.mean().iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("largest difference: {worst:e} nats");
        assert!(worst < 1e-5, "{:?} and {theirs:?}", ours.mean());
    }

    /// Training reads every song in order, and a resumed run reads the same batches as an uninterrupted one.
    #[test]
    fn streams_read_songs_in_order_and_resume() {
        let songs: Vec<Vec<Note>> = (1..=5).map(|n| song(n, 30 + 17 * n)).collect();
        let none = Augmentation { transpose_down: 0, transpose_up: 0, tempo: 0.0 };
        let streams = |length| {
            let training = songs.iter().map(|song| [song.as_slice(), song.as_slice()]).collect();
            Streams::new(training, Vec::new(), (2, length), none, 7)
        };
        let pitches = |streams: &mut Streams, batches: usize| -> Vec<Vec<i64>> {
            let mut read = vec![Vec::new(); 2];
            for _ in 0..batches {
                let batch = streams.next();
                for (place, &pitch) in batch.targets[1].iter().enumerate() {
                    if pitch != IGNORE_INDEX {
                        read[place % 2].push(pitch);
                    }
                }
            }
            read
        };
        let read = pitches(&mut streams(16), 40);
        let all: Vec<i64> = songs[0].iter().map(|note| i64::from(note.pitch)).collect();
        let whole = |stream: &Vec<i64>| stream.windows(all.len()).any(|window| window == all);
        assert!(read.iter().any(whole), "no stream reads the whole song in order");

        let (mut straight, mut resumed) = (streams(16), streams(16));
        pitches(&mut straight, 23);
        let updates = resumed.updates();
        resumed.seek(23 / updates, 23 % updates);
        for _ in 0..5 {
            let (a, b) = (straight.next(), resumed.next());
            assert!(a.targets == b.targets && a.inputs == b.inputs && a.features == b.features);
            assert_eq!(a.keeps_state, b.keeps_state);
        }
    }
}
