//! The expressive network in libtorch, and what it learns from: whole songs, side by side.

use pianola_host::corpus::shuffle;
use pianola_runtime::history::{FEATURES, History, PartialNote};
use pianola_runtime::vocabulary::{CHOICES, Hands, PARTS, RIGHT_HAND, bins};
use pianola_runtime::{BOS, Note};
use rand_pcg::Pcg32;
use tch::{Device, Kind, Reduction, Tensor};

use crate::augmentation::Augmentation;
use crate::lessons::Lessons;
use crate::network::{Dropout, Network, State};

/// Notes of several songs side by side, time-major; all in the order of [`PARTS`].
pub struct Batch {
    /// What is heard before each note, `[time, batch]` each.
    heard: [Tensor; 4],
    /// How often each row of a head's feature table counts, `[time, batch, FEATURES]` each.
    features: [Tensor; 4],
    /// What is to be predicted, `[time, batch]` each; [`NOTHING`] where a song is over.
    targets: [Tensor; 4],
    /// 0 where a song begins, 1 elsewhere: `[1, batch, 1]`, to multiply the state with.
    goes_on: Tensor,
    /// 1 for a song's right hand alone, 0 for all of it: `[1, batch, 1]`.
    right_hand: Tensor,
    /// Notes to be predicted.
    notes: usize,
}

/// Share of notes that are not heard in training.
const UNHEARD: f64 = 0.1;

/// The target that counts for nothing.
const NOTHING: i64 = -100;

/// Means over the notes of a batch of each part's cross-entropy, in nats; and the state after them.
pub fn losses(
    network: &Network,
    batch: &Batch,
    state: &State,
    dropout: Dropout,
) -> (Vec<Tensor>, State) {
    let embedded: Vec<Tensor> = PARTS
        .iter()
        .zip(&batch.heard)
        .map(|(part, heard)| {
            let table = network.parameter(&format!("embedding.{part}.weight"));
            let embedded = Tensor::embedding(&table, heard, -1, false, false);
            match *part {
                "pitch" => embedded + &batch.right_hand * table.get(i64::from(RIGHT_HAND)),
                _ => embedded,
            }
        })
        .collect();
    let state =
        State { hidden: &state.hidden * &batch.goes_on, cell: &state.cell * &batch.goes_on };
    let mut input = Tensor::cat(&embedded, 2);
    if dropout.outputs > 0.0 {
        // Now and then the LSTM does not hear a note: so no run of notes is learned by heart, and one that
        // does not belong there confuses the network less when it plays by itself.
        let size = [input.size()[0], input.size()[1], 1];
        input *= Tensor::ones(size, (network.compute, network.device)).dropout(UNHEARD, true);
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
            NOTHING,
            0.0,
        )
    });
    (losses.collect(), state)
}

/// One of the songs that are learned side by side.
#[derive(Clone, Default)]
struct Stream {
    notes: Vec<Note>,
    hands: Hands,
    /// Number of the next note to be predicted.
    at: usize,
    history: History,
}

impl Stream {
    /// A song from its start.
    fn new(notes: Vec<Note>, hands: Hands) -> Self {
        Self { notes, hands, ..Self::default() }
    }

    /// Puts the next notes into column `column` of a batch.
    fn fill(&mut self, column: usize, columns: &mut Columns) {
        let end = self.notes.len().min(self.at + columns.length);
        for (row, at) in (self.at..end).enumerate() {
            let note = &self.notes[at];
            let place = row * columns.width + column;
            let heard = match at.checked_sub(1) {
                Some(before) => bins(&self.notes[before]),
                None => [0, BOS, 0, 0],
            };
            let known = PartialNote::of(note);
            for (head, target) in bins(note).into_iter().enumerate() {
                columns.heard[head][place] = i64::from(heard[head]);
                columns.targets[head][place] = i64::from(target);
                let rows = &mut columns.features[head][place * FEATURES[head]..][..FEATURES[head]];
                self.history.features(known[head], |row| rows[row] += 1);
            }
            self.history.observe(note);
        }
        columns.goes_on[column] = if self.at == 0 { 0.0 } else { 1.0 };
        columns.right_hand[column] = if self.hands == Hands::Right { 1.0 } else { 0.0 };
        columns.notes += end - self.at;
        self.at = end;
    }
}

/// A batch on the host.
struct Columns {
    length: usize,
    width: usize,
    heard: [Vec<i64>; 4],
    features: [Vec<u8>; 4],
    targets: [Vec<i64>; 4],
    goes_on: Vec<f32>,
    right_hand: Vec<f32>,
    notes: usize,
}

impl Columns {
    /// The next notes of streams, up to `length` of each.
    fn of(streams: &mut [Stream], length: usize) -> Self {
        let (width, places) = (streams.len(), length * streams.len());
        let mut columns = Self {
            length,
            width,
            heard: [0; 4].map(|bin| vec![bin; places]),
            features: FEATURES.map(|rows| vec![0; places * rows]),
            targets: [NOTHING; 4].map(|target| vec![target; places]),
            goes_on: vec![0.0; width],
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
            heard: bins(&self.heard),
            features: self.features.each_ref().map(|counts| {
                Tensor::from_slice(counts).view([length, width, -1]).to_device(device)
            }),
            targets: bins(&self.targets),
            goes_on: songs(&self.goes_on),
            right_hand: songs(&self.right_hand),
            notes: self.notes,
        }
    }
}

/// Songs from start to end, side by side, the state carried from batch to batch; where one is over,
/// another begins with the next batch.
pub struct Streams<'s> {
    /// Songs to learn from: both hands, and each again as its first instrument alone, the right hand.
    pub training: Vec<[&'s [Note]; 2]>,
    /// Songs to measure on.
    pub validation: Vec<&'s [Note]>,
    /// Songs side by side.
    pub batch: usize,
    /// Notes of each in a batch.
    pub length: usize,
    /// How they are changed.
    pub augmentation: Augmentation,
    /// Seed of order and augmentation.
    pub seed: u64,
    streams: Vec<Stream>,
    /// Songs drawn so far.
    drawn: usize,
    carried: Option<State>,
}

/// One song of so many is learned as its right hand alone: for melodies, and because songs learned by halves
/// are harder to learn by heart.
const ALONE: usize = 2;

impl<'s> Streams<'s> {
    /// Songs to learn from and to measure on.
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

    /// Gives every stream that is at its end the next song.
    fn refill(&mut self) {
        for stream in &mut self.streams {
            if stream.at < stream.notes.len() {
                continue;
            }
            // All songs once, in an order of their own each time.
            let (round, turn) =
                (self.drawn / self.training.len(), self.drawn % self.training.len());
            let mut order: Vec<usize> = (0..self.training.len()).collect();
            shuffle(&mut order, &mut Pcg32::new(self.seed, 2 * round as u64));
            let mut rng = Pcg32::new(self.seed, 2 * self.drawn as u64 + 1);
            let song = order[turn];
            let [both, right] = self.training[song];
            // In each round some songs, and in the next one others. A song whose first instrument plays all of
            // it has no right hand alone.
            let alone = (song + round).is_multiple_of(ALONE) && right.len() < both.len();
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

impl Lessons for Streams<'_> {
    fn parts(&self) -> &'static [&'static str] {
        &PARTS
    }

    fn updates(&self) -> usize {
        let batches = self.training.iter().map(|[song, _]| song.len().div_ceil(self.length));
        batches.sum::<usize>().div_ceil(self.batch)
    }

    fn seek(&mut self, epoch: usize, batch: usize) {
        if self.drawn > 0 {
            return; // one epoch flows into the next
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

    fn learn(&mut self, network: &Network, dropout: Dropout) -> Vec<Tensor> {
        let batch = self.next().to_device(network.device);
        let state = self.carried.take().unwrap_or_else(|| network.start(self.batch));
        let (losses, state) = losses(network, &batch, &state, dropout);
        self.carried = Some(State { hidden: state.hidden.detach(), cell: state.cell.detach() });
        losses
    }

    fn validate(&self, network: &Network) -> Vec<f64> {
        evaluate(network, &self.validation, SIDE_BY_SIDE).to_vec()
    }

    fn carried(&self) -> Option<&State> {
        self.carried.as_ref()
    }

    fn carry(&mut self, state: State) {
        self.carried = Some(state);
    }
}

/// Songs side by side when they are measured on: few enough that others fill the places of those that end,
/// until the longest is over.
pub const SIDE_BY_SIDE: usize = 16;

/// Mean cross-entropies of songs, in nats a note: each heard from its start.
pub fn evaluate(network: &Network, songs: &[&[Note]], side_by_side: usize) -> [f64; 4] {
    const LENGTH: usize = 256;
    // The longest first, so that none is left over at the end.
    let mut order: Vec<&[Note]> = songs.to_vec();
    order.sort_by_key(|song| song.len());
    let mut streams = vec![Stream::default(); side_by_side.min(songs.len())];
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
            let (means, next) = losses(network, &batch, &state, Dropout::NONE);
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
    use pianola_host::statistics::evaluation::{Heard, Nll};
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

    /// The runtime's float path and libtorch give the same nats, at the model's size, over songs that
    /// take several batches and end within them.
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
        let heard = |&notes| Heard { notes, hands: Hands::Both, marks: &[] };
        let heard: Vec<Heard> = songs.iter().map(heard).collect();
        let [ours, _] = Nll::of_songs(&model, &heard).unwrap();
        let worst = ours.mean().iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        println!("largest difference of nats: {worst:e}");
        assert!(worst < 1e-5, "{:?} and {theirs:?}", ours.mean());
    }

    /// Training meets every note of every song in order, whatever the length of a batch, and a run that
    /// is resumed meets what it would have met.
    #[test]
    fn streams_meet_songs_in_order_and_resume() {
        let songs: Vec<Vec<Note>> = (1..=5).map(|n| song(n, 30 + 17 * n)).collect();
        let none = Augmentation { transpose_down: 0, transpose_up: 0, tempo: 0.0 };
        let streams = |length| {
            let training = songs.iter().map(|song| [song.as_slice(), song.as_slice()]).collect();
            Streams::new(training, Vec::new(), (2, length), none, 7)
        };
        let pitches = |streams: &mut Streams, batches: usize| -> Vec<Vec<i64>> {
            let mut met = vec![Vec::new(); 2];
            for _ in 0..batches {
                let batch = streams.next();
                for (place, &pitch) in batch.targets[1].iter().enumerate() {
                    if pitch != NOTHING {
                        met[place % 2].push(pitch);
                    }
                }
            }
            met
        };
        let met = pitches(&mut streams(16), 40);
        let all: Vec<i64> = songs[0].iter().map(|note| i64::from(note.pitch)).collect();
        let whole = |stream: &Vec<i64>| stream.windows(all.len()).any(|window| window == all);
        assert!(met.iter().any(whole), "a song comes whole");

        let (mut straight, mut resumed) = (streams(16), streams(16));
        pitches(&mut straight, 23);
        let updates = resumed.updates();
        resumed.seek(23 / updates, 23 % updates);
        for _ in 0..5 {
            let (a, b) = (straight.next(), resumed.next());
            assert!(a.targets == b.targets && a.heard == b.heard && a.features == b.features);
            assert_eq!(a.goes_on, b.goes_on);
        }
    }
}
