//! What is seen of a session in a terminal, and the keys that play with it.
//!
//! A view draws what a [`Scene`] says and waits for keys; whoever plays notes goes on poll, on a
//! thread of its own.

use std::io::{self, IsTerminal};
use std::mem::ManuallyDrop;
use std::time::Duration;

use pianola_runtime::{Micros, Sampling};
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::{DefaultTerminal, Frame};

use crate::live::knobs::Knob;
use crate::live::recording::{Performer, Played};
use crate::live::waterfall;

/// How far back notes are seen, on the highest terminals.
pub const MEMORY: Micros = 30_000_000;

/// What there is to see.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Name of the port.
    pub port: &'a str,
    pub doing: Doing,
    pub now: Micros,
    /// Those since [`MEMORY`], and what is about to be played.
    pub notes: &'a [Played],
    /// How many notes Pianola has played.
    pub count: usize,
    /// How late the latest of them came.
    pub late: Micros,
    pub sampling: &'a Sampling,
    /// The control that arrow keys turn.
    pub chosen: Knob,
}

/// What Pianola is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    /// A person plays.
    Listening,
    /// What follows is the answer.
    Answering,
    /// Nobody is waited for.
    Playing,
    Stopped,
    /// The port is gone; it may come back.
    PortLost,
}

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let arrow keys turn this control.
    Choose(Knob),
    /// Move a control by so many steps.
    Step(Knob, i16),
    /// Set a control as it was at the start.
    Reset(Knob),
    /// Start another piece.
    Start,
    /// Play no more, or go on.
    Pause,
    /// Silence everything, and play no more.
    Panic,
    Quit,
}

/// The keys, and what they do.
const HELP: [(&str, &str); 7] = [
    ("↑↓", "choose"),
    ("←→", "turn"),
    ("0", "reset"),
    ("space", "pause"),
    ("n", "new piece"),
    ("esc", "silence"),
    ("q", "quit"),
];

/// What a key asks for, while a control is chosen.
pub fn action(key: KeyEvent, chosen: Knob) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let neighbour = |steps: isize| {
        let place = Knob::ALL.iter().position(|&knob| knob == chosen)?;
        Knob::ALL.get(place.checked_add_signed(steps)?).copied().map(Action::Choose)
    };
    match key.code {
        KeyCode::Up => neighbour(-1),
        KeyCode::Down => neighbour(1),
        KeyCode::Left => Some(Action::Step(chosen, -1)),
        KeyCode::Right => Some(Action::Step(chosen, 1)),
        KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Action::Quit),
        KeyCode::Char('0') => Some(Action::Reset(chosen)),
        KeyCode::Char(' ') => Some(Action::Pause),
        KeyCode::Char('n') => Some(Action::Start),
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Esc => Some(Action::Panic),
        _ => None,
    }
}

/// A terminal that shows scenes. It is as it was before once this is dropped, or if anything panics.
///
/// Dropped by itself, ratatui's terminal would panic where the real one is gone.
pub struct View(ManuallyDrop<DefaultTerminal>);

impl View {
    /// Takes over the terminal.
    pub fn open() -> io::Result<Self> {
        if !io::stdout().is_terminal() {
            return Err(io::Error::other("the view needs a terminal, and standard output is none"));
        }
        ratatui::try_init()
            .map(|terminal| Self(ManuallyDrop::new(terminal)))
            .inspect_err(|_| drop(ratatui::try_restore()))
    }

    /// Shows a scene.
    pub fn show(&mut self, scene: &Scene) -> io::Result<()> {
        self.0.draw(|frame| draw(frame, scene)).map(drop)
    }

    /// Waits for a key, and no longer than asked; returns what it asks for while a control is chosen. A
    /// terminal of another size ends the wait too.
    pub fn wait(&mut self, longest: Duration, chosen: Knob) -> io::Result<Option<Action>> {
        let longest = wait_for_input(longest)?;
        if !event::poll(longest)? {
            return Ok(None);
        }
        Ok(match event::read()? {
            Event::Key(key) => action(key, chosen),
            _ => None,
        })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // A panic has been there before, and what it says is not to be overwritten.
        if !std::thread::panicking() {
            // A terminal that is gone needs nothing.
            let _ = self.0.show_cursor();
            let _ = ratatui::try_restore();
        }
    }
}

/// Waits for something to read, where that can be told; returns how long is left to wait. An error means that the
/// terminal is gone: crossterm would look for its keys for ever.
#[cfg(unix)]
fn wait_for_input(longest: Duration) -> io::Result<Duration> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = io::stdin();
    if !input.is_terminal() {
        return Ok(longest);
    }
    let timeout = Timespec { tv_sec: 0, tv_nsec: i64::from(longest.subsec_nanos()) };
    let mut descriptors = [PollFd::new(&input, PollFlags::IN)];
    // A signal may be that of another size.
    let _ = poll(&mut descriptors, Some(&timeout));
    let [input] = &descriptors;
    if input.revents().intersects(PollFlags::HUP | PollFlags::ERR) {
        return Err(io::ErrorKind::NotConnected.into());
    }
    Ok(Duration::ZERO)
}

#[cfg(not(unix))]
fn wait_for_input(longest: Duration) -> io::Result<Duration> {
    Ok(longest)
}

/// Colour of what explains.
const FAINT: Style = Style::new().fg(Color::Indexed(245));

/// Columns of a control's name, and of it all.
const NAME: usize = 21;
const CONTROL: u16 = 40;

/// Fewest rows of the roll: with less, controls that are not chosen make room for it.
const LOWEST_ROLL: u16 = 8;

/// Draws a scene.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let columns = (area.width / CONTROL).clamp(1, 3);
    let all = Knob::ALL.len().div_ceil(columns.into()) as u16;
    let controls = if area.height >= all + LOWEST_ROLL + 2 { all } else { 1 };

    // From the edges inwards: what there is no room for has no height.
    let (status, rest) = split(area, 1);
    let (rest, help) = split(rest, rest.height.saturating_sub(1));
    let (roll, panel) = split(rest, rest.height.saturating_sub(controls));
    draw_status(buffer, status, scene);
    waterfall::draw(buffer, roll, scene.notes, scene.now);
    draw_controls(buffer, panel, columns, scene);
    let keys =
        HELP.map(|(key, does)| [format!(" {key} ").into(), Span::styled(does, FAINT), " ".into()]);
    write(buffer, help, &Line::from(keys.concat()));
}

/// So many rows of an area, and those below.
fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let below = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, below)
}

/// What is going on at the left; where there is room, who plays, how much and how well, at the right.
fn draw_status(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let of = |performer| Style::new().fg(waterfall::color(performer, 3));
    let (person, pianola) = (of(Performer::Person), of(Performer::Pianola));
    let (doing, style) = match scene.doing {
        Doing::Listening => ("listening", person),
        Doing::Answering => ("answering", pianola),
        Doing::Playing => ("playing", pianola),
        Doing::Stopped => ("stopped", FAINT),
        Doing::PortLost => ("port lost", Style::new().fg(Color::Red)),
    };
    let left = Line::from(vec![
        Span::styled(format!(" ● {doing}  "), style),
        Span::styled(scene.port, Modifier::BOLD),
    ]);
    let notes = if scene.count == 1 { "note" } else { "notes" };
    let late = scene.late as f64 / 1e3;
    let right = Line::from(vec![
        Span::styled("  ■ ", person),
        Span::styled("you", FAINT),
        Span::styled("  ■ ", pianola),
        Span::styled(
            format!("Pianola: {} {notes}, {late:.1} ms late at most ", scene.count),
            FAINT,
        ),
    ]);
    write(buffer, area, &left);
    let room = usize::from(area.width).saturating_sub(left.width());
    if right.width() <= room {
        let width = right.width() as u16;
        write(buffer, Rect { x: area.right() - width, width, ..area }, &right);
    }
}

/// The controls in columns, or the chosen one where there is no room for more.
fn draw_controls(buffer: &mut Buffer, area: Rect, columns: u16, scene: &Scene) {
    if area.is_empty() {
        return;
    }
    let knobs = Knob::ALL.into_iter().filter(|&knob| area.height > 1 || knob == scene.chosen);
    for (place, knob) in (0..).zip(knobs) {
        let (column, row) = (place / area.height, place % area.height);
        let x = area.x + column * (area.width / columns);
        let width = CONTROL.min(area.right() - x);
        let (mark, style) = if knob == scene.chosen {
            ("▸", Modifier::REVERSED)
        } else {
            (" ", Modifier::empty())
        };
        let value = knob.shown(scene.sampling);
        let text = format!("{mark}{:<NAME$}{value}", knob.name());
        let line = Line::styled(format!("{text:<0$}", usize::from(CONTROL)), style);
        write(buffer, Rect { x, y: area.y + row, width, height: 1 }, &line);
    }
}

/// Writes a line as far as there is room.
fn write(buffer: &mut Buffer, area: Rect, line: &Line) {
    if !area.is_empty() {
        buffer.set_line(area.x, area.y, line, area.width);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    use super::*;

    const SECOND: Micros = 1_000_000;

    fn note(performer: Performer, pitch: u8, velocity: u8, start: f64, end: Option<f64>) -> Played {
        let micros = |seconds: f64| (seconds * 1e6).round() as Micros;
        Played { performer, pitch, velocity, start: micros(start), end: end.map(micros) }
    }

    /// A person has played a scale, and Pianola answers with chords.
    fn notes() -> Vec<Played> {
        use Performer::{Person, Pianola};
        let scale = [60, 62, 64, 65, 67].into_iter().zip(0..);
        let scale = scale.map(|(pitch, index)| {
            let start = 7.0 + 0.3 * f64::from(index);
            note(Person, pitch, 40 + 20 * index as u8, start, Some(start + 0.3))
        });
        let chord = [48, 55, 64].map(|pitch| note(Pianola, pitch, 70, 9.0, Some(9.5)));
        let held = [43, 59, 67].map(|pitch| note(Pianola, pitch, 110, 9.5, None));
        let ahead =
            [note(Pianola, 72, 90, 10.3, Some(10.6)), note(Pianola, 74, 90, 10.6, Some(10.8))];
        scale.chain(chord).chain(held).chain(ahead).collect()
    }

    fn scene<'a>(notes: &'a [Played], sampling: &'a Sampling) -> Scene<'a> {
        Scene {
            port: "Digital Piano",
            doing: Doing::Answering,
            now: 10 * SECOND,
            notes,
            count: 312,
            late: 430,
            sampling,
            chosen: Knob::Density,
        }
    }

    fn seen(width: u16, height: u16, change: impl Fn(&mut Scene)) -> Terminal<TestBackend> {
        let (notes, sampling) = (notes(), Sampling::default());
        let mut scene = scene(&notes, &sampling);
        change(&mut scene);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        terminal
    }

    #[test]
    fn a_session_is_seen() {
        let expected = [
            " ● answering  Digital Piano    ■ you  ■ Pianola: 312 notes, 0.4 ms late at most ",
            "           ┊           ┊           ┊           ▄ ▀         ┊           ┊        ",
            "           ┊           ┊           ┊           █           ┊           ┊        ",
            "           ┊           ┊           ┊           ┊           ┊           ┊        ",
            "█ █  █ █ █  █ █  █ █ █  █ █  █ █ █  █ █  █ █ █  █ █  █ █ █  █ █  █ █ █  █ █  █ █",
            "           C2          C3          C4          C5          C6          C7       ",
            "           ┊      █    ┊          █┊      █    ┊           ┊           ┊        ",
            "           ┊      █    ┊          █┊      █    ┊           ┊           ┊        ",
            "           ┊      ▀    ┊          ▀┊      ▀    ┊           ┊           ┊        ",
            "           ┊           █      █    ┊   █       ┊           ┊           ┊        ",
            "           ┊           █      █    ┊   █       ┊           ┊           ┊        ",
            "           ┊           ▀      ▀    ┊   ▀       ┊           ┊           ┊        ",
            "           ┊           ┊           ┊           ┊           ┊           ┊        ",
            "           ┊           ┊           ┊           ┊           ┊           ┊        ",
            "           ┊           ┊           ┊      █    ┊           ┊           ┊        ",
            "           ┊           ┊           ┊    ▄ ▀    ┊           ┊           ┊        ",
            "           ┊           ┊           ┊    ▀      ┊           ┊           ┊        ",
            "           ┊           ┊           ┊   █       ┊           ┊           ┊        ",
            " temperature          1.00               lowest               C-1               ",
            " pitch-temperature    1.00               highest              G9                ",
            " time-temperature     1.00               scale                every pitch       ",
            " velocity-temperature 1.00               polyphony            no limit          ",
            "▸density              as the model means                                        ",
            " ↑↓ choose  ←→ turn  0 reset  space pause  n new piece  esc silence  q quit     ",
        ];
        let seen = seen(80, 24, |_| ()).backend().to_string();
        let lines: Vec<&str> = seen.lines().map(|line| line.trim_matches('"')).collect();
        assert_eq!(lines, expected, "\n{seen}");
    }

    #[test]
    fn performers_have_colours_of_their_own_and_loud_notes_are_brighter() {
        let terminal = seen(80, 24, |scene| scene.now = 86 * SECOND / 10);
        let buffer = terminal.backend().buffer();
        let colors = |x: u16| {
            let column = (4..18).map(move |y| &buffer[(x, y)]);
            let notes = column.filter(|cell| matches!(cell.symbol(), "▀" | "▄" | "█"));
            notes.map(|cell| cell.fg).collect::<Vec<_>>()
        };
        let column = |pitch: u16| pitch - 25; // the lowest of the 80 keys that there is room for
        let (soft, loud) = (colors(column(60)), colors(column(67)));
        let person = |loudness| waterfall::color(Performer::Person, loudness);
        assert_eq!((soft.last(), loud.last()), (Some(&person(2)), Some(&person(5))));
    }

    #[test]
    fn keys_that_sound_are_lit() {
        let lit = |now: Micros| {
            let terminal = seen(80, 24, |scene| scene.now = now);
            terminal.backend().buffer()[(43 - 25, 4)].bg
        };
        let (before, after) = (lit(94 * SECOND / 10), lit(96 * SECOND / 10));
        assert_ne!(before, after);
        assert_eq!(after, waterfall::color(Performer::Pianola, 5));
    }

    #[test]
    fn any_size_will_do() {
        for (width, height) in
            (0..200).step_by(7).flat_map(|width| (0..40).map(move |y| (width, y)))
        {
            seen(width, height, |_| ());
        }
        // Notes may last for ever, and lie beyond the keys.
        let endless = [
            note(Performer::Person, 0, 127, 0.0, None),
            Played { end: Some(Micros::MAX), ..note(Performer::Pianola, 60, 127, 0.0, None) },
            Played { start: Micros::MAX, ..note(Performer::Pianola, 127, 1, 0.0, None) },
        ];
        for now in [0, Micros::MAX] {
            let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
            let sampling = Sampling::default();
            let mut scene = scene(&endless, &sampling);
            scene.now = now;
            terminal.draw(|frame| draw(frame, &scene)).unwrap();
            // As it goes on when the terminal has become smaller.
            terminal.backend_mut().resize(20, 10);
            terminal.draw(|frame| draw(frame, &scene)).unwrap();
            assert!(terminal.backend().to_string().contains("density"));
        }
    }

    #[test]
    fn controls_show_where_they_stand() {
        let mut sampling = Sampling::default();
        Knob::Scale.turn(&mut sampling, 19);
        let notes = notes();
        let mut scene = scene(&notes, &sampling);
        (scene.chosen, scene.doing) = (Knob::Scale, Doing::PortLost);
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        let text = terminal.backend().to_string();
        assert!(text.contains("▸scale                a-major, f#-minor"), "{text}");
        assert!(text.contains("● port lost"), "{text}");
        let marked = terminal.backend().buffer()[(45, 20)].modifier;
        assert!(marked.contains(Modifier::REVERSED));
    }

    #[test]
    fn keys_ask_for_something() {
        let key = |code| action(KeyEvent::new(code, KeyModifiers::NONE), Knob::Density);
        assert_eq!(key(KeyCode::Up), Some(Action::Choose(Knob::VelocityTemperature)));
        assert_eq!(key(KeyCode::Down), Some(Action::Choose(Knob::Lowest)));
        assert_eq!(key(KeyCode::Left), Some(Action::Step(Knob::Density, -1)));
        assert_eq!(key(KeyCode::Right), Some(Action::Step(Knob::Density, 1)));
        assert_eq!(key(KeyCode::Char('0')), Some(Action::Reset(Knob::Density)));
        assert_eq!(key(KeyCode::Char(' ')), Some(Action::Pause));
        assert_eq!(key(KeyCode::Char('n')), Some(Action::Start));
        assert_eq!(key(KeyCode::Esc), Some(Action::Panic));
        assert_eq!(key(KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(key(KeyCode::Char('c')), None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(interrupt, Knob::Density), Some(Action::Quit));
        // At the ends there is nothing further, and letting go of a key asks for nothing.
        let up = KeyEvent::new(KeyCode::Up, KeyModifiers::NONE);
        assert_eq!(action(up, Knob::ALL[0]), None);
        assert_eq!(action(KeyEvent { kind: KeyEventKind::Release, ..up }, Knob::Density), None);
    }
}
