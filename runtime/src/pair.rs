//! A generator on two threads.
//!
//! Each thread computes half of every layer's units and hands its half of the new hidden state to
//! the other. Only that state is shared, as atomic words: there is nothing to lock, and every unit
//! is computed exactly as on one thread. The threads synchronize once per layer by spinning: a layer
//! takes about ten microseconds, less than waking a thread. A thread that waits long yields, then
//! sleeps.

use std::hint::spin_loop;
use std::marker::PhantomData;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, Scope, Thread};
use std::time::{Duration, Instant};
use std::vec::Vec;

use crate::generate::Generator;
use crate::generate::Sampling;
use crate::network::{Network, Token, UNITS};
use crate::note::Note;

/// A [`Generator`] on two threads, the calling one and a helper. The notes are the same.
///
/// Where a second thread does not help, because there is one core or the others are busy, the calling
/// thread continues alone.
///
/// ```
/// use pianola_runtime::{Generator, Model, ModelError, Pair, Sampling};
///
/// fn long_piece(model: &Model) -> Result<(), ModelError> {
///     let generator = Generator::new(model, 42)?;
///     std::thread::scope(|scope| {
///         let mut pair = Pair::new(scope, generator);
///         for _ in 0..10_000 {
///             let note = pair.next_note(&Sampling::default());
///         }
///     });
///     Ok(())
/// }
/// ```
///
/// It cannot leave the scope that its helper runs in: the scope waits for the helper.
pub struct Pair<'scope, 'm, const LAYERS: usize = 3, const HIDDEN: usize = 512> {
    generator: Generator<'m, LAYERS, HIDDEN>,
    /// `None` if this thread works alone.
    helper: Option<Helper>,
    scope: PhantomData<&'scope ()>,
}

/// The other thread, as the calling one sees it.
struct Helper {
    link: Arc<Link>,
    thread: Thread,
    /// Number of the last note given to it.
    note: u32,
    /// Grows when the helper keeps this thread waiting, and shrinks when it does not.
    late: u32,
}

/// What the two threads share.
struct Link {
    /// Number of the note to compute.
    note: AtomicU32,
    /// The note: its pitch, and the bits of its times.
    token: [AtomicU32; 3],
    /// Whether the helper must hand over its cells and exit.
    over: AtomicBool,
    /// Whether the helper sleeps until it is woken.
    asleep: AtomicBool,
    /// Number of layers that each thread has handed over since the start.
    layers: [Counter; 2],
    /// The hidden state handed over, of even and of odd layers: a thread is at most one ahead.
    hidden: [Vec<AtomicU32>; 2],
    /// The helper's cells, layer by layer, once it ends.
    cells: Vec<AtomicU32>,
    handed_over: AtomicBool,
    /// Whether the helper has panicked, and will hand over nothing.
    panicked: AtomicBool,
}

/// The units that one of the threads computes.
#[derive(Clone, Copy, Debug)]
enum Half {
    /// The calling thread's.
    Lower,
    /// The helper's.
    Upper,
}

impl Half {
    fn other(self) -> Self {
        match self {
            Self::Lower => Self::Upper,
            Self::Upper => Self::Lower,
        }
    }

    /// Its units in a layer that wide: whole chunks.
    fn of(self, width: usize) -> Range<usize> {
        let middle = width / UNITS / 2 * UNITS;
        match self {
            Self::Lower => 0..middle,
            Self::Upper => middle..width,
        }
    }
}

/// A counter with its own cache line, so that a waiting thread causes no false sharing.
#[repr(align(128))]
struct Counter(AtomicU32);

/// Longest spin: below this, spinning costs less than sleeping.
const SPIN: Duration = Duration::from_micros(100);

/// Lateness at which the helper is dismissed: late for ten notes in a row, or for a third of the
/// notes over a long time.
const LATE: u32 = 20;

impl<'scope, 'm: 'scope, const LAYERS: usize, const HIDDEN: usize>
    Pair<'scope, 'm, LAYERS, HIDDEN>
{
    /// Starts the helper if two threads are faster: times 65 notes with and without it. The helper exits
    /// when the pair is dropped.
    pub fn new(scope: &'scope Scope<'scope, '_>, generator: Generator<'m, LAYERS, HIDDEN>) -> Self {
        let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
        if cores < 2 || !pays(&generator) {
            return Self { generator, helper: None, scope: PhantomData };
        }
        Self::always(scope, generator)
    }

    /// Starts the helper unconditionally.
    pub fn always(
        scope: &'scope Scope<'scope, '_>,
        generator: Generator<'m, LAYERS, HIDDEN>,
    ) -> Self {
        let link = Arc::new(Link::new(LAYERS, HIDDEN));
        let (network, shared) = (generator.network().clone(), link.clone());
        let thread = scope.spawn(move || help(network, &shared)).thread().clone();
        let helper = Some(Helper { link, thread, note: 0, late: 0 });
        Self { generator, helper, scope: PhantomData }
    }

    /// As [`Generator::observe`].
    pub fn observe(&mut self, note: &Note) {
        let note = self.generator.accept(note);
        self.advance(note);
    }

    /// Advances the network by a note that the generator has recorded.
    fn advance(&mut self, note: Note) {
        let network = self.generator.as_mut();
        let Some(helper) = &mut self.helper else { return network.observe(&note) };
        helper.observe(network, Token::from(&note));
        if helper.late >= LATE {
            helper.dismiss(network);
            self.helper = None;
        }
    }

    /// As [`Generator::next_note`].
    pub fn next_note(&mut self, sampling: &Sampling) -> Note {
        let note = self.generator.draw(sampling, &mut || {});
        self.advance(note);
        self.generator.cut(note, sampling, &mut || {})
    }

    /// Whether the helper is still running.
    pub fn is_paired(&self) -> bool {
        self.helper.is_some()
    }
}

impl<const LAYERS: usize, const HIDDEN: usize> Drop for Pair<'_, '_, LAYERS, HIDDEN> {
    fn drop(&mut self) {
        if let Some(helper) = &self.helper {
            helper.link.over.store(true, Ordering::Release);
            helper.thread.unpark();
        }
    }
}

impl Helper {
    fn observe<const LAYERS: usize, const HIDDEN: usize>(
        &mut self,
        network: &mut Network<'_, LAYERS, HIDDEN>,
        token: Token,
    ) {
        self.note = self.note.wrapping_add(1);
        for (shared, bits) in self.link.token.iter().zip(token.to_bits()) {
            shared.store(bits, Ordering::Relaxed);
        }
        self.link.note.store(self.note, Ordering::SeqCst);
        let asleep = self.link.asleep.load(Ordering::SeqCst);
        if asleep {
            self.thread.unpark();
        }
        let mut late = false;
        let first = self.note.wrapping_sub(1).wrapping_mul(network.layers() as u32);
        let exchange = |layer: usize, hidden: &mut [f32]| {
            late |= self.link.exchange(Half::Lower, first.wrapping_add(layer as u32), hidden);
        };
        network.observe_units(token, Half::Lower.of(network.width()), exchange, || {});
        // A helper that had to be woken may be late.
        if late && !asleep {
            self.late += 2;
        } else {
            self.late = self.late.saturating_sub(1);
        }
    }

    /// Takes over the helper's cells and lets it exit.
    fn dismiss<const LAYERS: usize, const HIDDEN: usize>(
        &self,
        network: &mut Network<'_, LAYERS, HIDDEN>,
    ) {
        self.link.over.store(true, Ordering::Release);
        self.thread.unpark();
        self.link.wait(|| self.link.handed_over.load(Ordering::Acquire));
        let mut cells = self.link.cells.iter();
        network.cells(Half::Upper.of(network.width()), |cell| {
            *cell = cells.next().map_or(0.0, |bits| f32::from_bits(bits.load(Ordering::Relaxed)));
        });
    }
}

/// Whether two threads are faster than one: between distant cores, handing over a small layer can
/// take longer than computing it.
fn pays<const LAYERS: usize, const HIDDEN: usize>(
    generator: &Generator<'_, LAYERS, HIDDEN>,
) -> bool {
    let sampling = Sampling::default();
    let mut alone = generator.clone();
    let one = typical(|| alone.next_note(&sampling));
    let two = thread::scope(|scope| {
        let mut pair = Pair::always(scope, generator.clone());
        typical(|| pair.next_note(&sampling))
    });
    two < one
}

/// The median of some notes' times.
fn typical(mut note: impl FnMut() -> Note) -> Duration {
    let mut times = [Duration::ZERO; 65];
    for time in &mut times {
        let start = Instant::now();
        std::hint::black_box(note());
        *time = start.elapsed();
    }
    times.sort_unstable();
    times[times.len() / 2]
}

/// The helper's thread: computes the upper half of each note's layers.
fn help<const LAYERS: usize, const HIDDEN: usize>(
    mut network: Network<'_, LAYERS, HIDDEN>,
    link: &Link,
) {
    let _guard = Guard(link);
    let units = Half::Upper.of(network.width());
    let (mut note, mut layers) = (0u32, 0u32);
    loop {
        note = note.wrapping_add(1);
        let called =
            || link.over.load(Ordering::Acquire) || link.note.load(Ordering::Acquire) == note;
        if !spin(called) {
            // Sleep, unless the note has arrived in the meantime.
            link.asleep.store(true, Ordering::SeqCst);
            while !(link.over.load(Ordering::SeqCst) || link.note.load(Ordering::SeqCst) == note) {
                thread::park();
            }
            link.asleep.store(false, Ordering::Relaxed);
        }
        if link.over.load(Ordering::Acquire) {
            break;
        }
        let token = Token::from_bits([0, 1, 2].map(|at| link.token[at].load(Ordering::Relaxed)));
        let exchange = |_: usize, hidden: &mut [f32]| {
            link.exchange(Half::Upper, layers, hidden);
            layers = layers.wrapping_add(1);
        };
        network.observe_units(token, units.clone(), exchange, || {});
    }
    let mut cells = link.cells.iter();
    network.cells(units, |cell| {
        if let Some(shared) = cells.next() {
            shared.store(cell.to_bits(), Ordering::Relaxed);
        }
    });
    link.handed_over.store(true, Ordering::Release);
}

impl Link {
    /// For networks of up to `layers` layers of `hidden` units.
    fn new(layers: usize, hidden: usize) -> Self {
        let zeros = |count| (0..count).map(|_| AtomicU32::new(0)).collect::<Vec<_>>();
        Self {
            note: AtomicU32::new(0),
            token: [const { AtomicU32::new(0) }; 3],
            over: AtomicBool::new(false),
            asleep: AtomicBool::new(false),
            layers: [const { Counter(AtomicU32::new(0)) }; 2],
            hidden: [zeros(hidden), zeros(hidden)],
            cells: zeros(layers * hidden),
            handed_over: AtomicBool::new(false),
            panicked: AtomicBool::new(false),
        }
    }

    /// Hands over a thread's half of a layer's hidden state, and takes the other's. `layer` counts
    /// from the start. Returns whether the other was late.
    fn exchange(&self, half: Half, layer: u32, hidden: &mut [f32]) -> bool {
        let shared = &self.hidden[layer as usize % 2];
        let (ours, theirs) = (half.of(hidden.len()), half.other().of(hidden.len()));
        for (shared, value) in shared[ours.clone()].iter().zip(&hidden[ours]) {
            shared.store(value.to_bits(), Ordering::Relaxed);
        }
        let done = layer.wrapping_add(1);
        self.layers[half as usize].0.store(done, Ordering::Release);
        // The other is at most one layer ahead.
        let count = &self.layers[half.other() as usize].0;
        let late = self.wait(|| {
            let theirs = count.load(Ordering::Acquire);
            theirs == done || theirs == done.wrapping_add(1) || self.over.load(Ordering::Relaxed)
        });
        for (shared, value) in shared[theirs.clone()].iter().zip(&mut hidden[theirs]) {
            *value = f32::from_bits(shared.load(Ordering::Relaxed));
        }
        late
    }

    /// Waits, without sleeping; returns whether it took long.
    ///
    /// # Panics
    /// If the helper has panicked: it will hand over nothing.
    fn wait(&self, ready: impl Fn() -> bool) -> bool {
        if spin(&ready) {
            return false;
        }
        while !ready() {
            assert!(!self.panicked.load(Ordering::Relaxed), "the helper has panicked");
            thread::yield_now();
        }
        true
    }
}

/// Reports a panic in the helper to the calling thread, which would otherwise wait for ever.
struct Guard<'l>(&'l Link);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.panicked.store(thread::panicking(), Ordering::Relaxed);
    }
}

/// Spins for a while; returns whether it became ready.
fn spin(ready: impl Fn() -> bool) -> bool {
    let mut start = None;
    loop {
        // Reading the clock costs more than a check.
        for _ in 0..64 {
            if ready() {
                return true;
            }
            spin_loop();
        }
        if start.get_or_insert_with(Instant::now).elapsed() > SPIN {
            return ready();
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::Model;

    /// A late helper is dismissed, and the notes stay the same.
    #[test]
    #[cfg_attr(miri, ignore = "spins")]
    fn goes_on_alone_where_the_helper_is_late() {
        let file = include_bytes!("../tests/models/report-small-int8.safetensors");
        let model = Model::from_bytes(file).unwrap();
        let mut alone = Generator::<2, 32>::from_model(&model, 8).unwrap();
        let sampling = Sampling::default();
        thread::scope(|scope| {
            let mut pair = Pair::always(scope, alone.clone());
            for note in 0..60 {
                if let (30, Some(helper)) = (note, &mut pair.helper) {
                    helper.late = LATE + 1;
                }
                assert_eq!(alone.next_note(&sampling), pair.next_note(&sampling), "note {note}");
            }
            assert!(!pair.is_paired());
        });
    }

    /// A thread that waits for a panicked helper panics too, instead of waiting for ever.
    #[test]
    #[cfg_attr(miri, ignore = "spins")]
    fn a_panic_of_the_helper_reaches_the_caller() {
        let link = Link::new(1, 16);
        thread::scope(|scope| {
            let helper = scope.spawn(|| {
                let _guard = Guard(&link);
                panic!("for the test");
            });
            let caller = scope.spawn(|| link.wait(|| false));
            assert!(helper.join().is_err());
            assert!(caller.join().is_err());
        });
    }
}
