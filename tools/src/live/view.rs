//! The terminal view of a session. Only the view's own thread waits for the terminal.

use std::io::{self, IsTerminal};
use std::mem::ManuallyDrop;

use pianola_runtime::{Control, Controls, Instant, Micros};
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::{DefaultTerminal, Frame};

use crate::live::keys::HINTS;
use crate::live::performance::Activity;
use crate::live::played::{Performer, Played};
use crate::live::shown::shown;
use crate::live::waterfall;

/// How far back notes are shown, on the tallest terminals.
pub const MEMORY: Micros = Micros::from_millis(30_000);

/// Content of a frame.
#[derive(Clone, Debug)]
pub struct Scene<'a> {
    /// Name of the port.
    pub port: &'a str,
    pub activity: Activity,
    pub now: Instant,
    /// Notes since [`MEMORY`] ago, and the queued ones.
    pub notes: &'a [Played],
    /// Number of notes that Pianola has played.
    pub count: usize,
    /// Lateness of the latest of them.
    pub late: Micros,
    /// Seed of the piece, once it has begun.
    pub seed: Option<u64>,
    /// Time since the piece began.
    pub elapsed: Micros,
    /// Whether the session is recorded to a file.
    pub records: bool,
    pub controls: &'a Controls,
    /// The control that the arrow keys change.
    pub chosen: Control,
    /// A notice, shown in place of the keys.
    pub notice: Option<&'a str>,
}

/// A terminal that shows scenes. It is restored when this is dropped, or after a panic.
///
/// `ManuallyDrop`, since dropping ratatui's terminal panics where the real one is gone.
pub struct View(ManuallyDrop<DefaultTerminal>);

impl View {
    /// Initializes the terminal.
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

    /// Returns an error if the terminal is gone: drawing there would report none.
    pub fn check(&self) -> io::Result<()> {
        check_input()
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // After a panic the terminal is already restored; the panic's message must stay.
        if !std::thread::panicking() {
            // A terminal that is gone needs no restoring.
            let _ = self.0.show_cursor();
            let _ = ratatui::try_restore();
        }
    }
}

#[cfg(unix)]
fn check_input() -> io::Result<()> {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let input = io::stdin();
    if input.is_terminal() {
        let mut descriptors = [PollFd::new(&input, PollFlags::IN)];
        let _ = poll(&mut descriptors, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }));
        let [input] = &descriptors;
        if input.revents().intersects(PollFlags::HUP | PollFlags::ERR) {
            return Err(io::Error::new(io::ErrorKind::NotConnected, "the terminal is gone"));
        }
    }
    Ok(())
}

#[cfg(not(unix))]
fn check_input() -> io::Result<()> {
    Ok(())
}

/// Colour of explanatory text.
const FAINT: Style = Style::new().fg(Color::Indexed(245));

/// Columns of a control's name, and of a control with its value.
const NAME: usize = 21;
const CONTROL: u16 = 40;

/// Minimum rows of the roll: with fewer, controls that are not selected are hidden.
const LOWEST_ROLL: u16 = 8;

/// Draws a scene.
pub fn draw(frame: &mut Frame, scene: &Scene) {
    let area = frame.area();
    let buffer = frame.buffer_mut();
    let columns = (area.width / CONTROL).clamp(1, 3);
    let all = Control::ALL.len().div_ceil(columns.into()) as u16;
    let controls = if area.height >= all + LOWEST_ROLL + 2 { all } else { 1 };

    // From the edges inwards: parts that do not fit have no height.
    let (status, rest) = split(area, 1);
    let (rest, help) = split(rest, rest.height.saturating_sub(1));
    let (roll, panel) = split(rest, rest.height.saturating_sub(controls));
    draw_status(buffer, status, scene);
    waterfall::draw(buffer, roll, scene.notes, scene.now);
    draw_controls(buffer, panel, columns, scene);
    let line = match scene.notice {
        Some(notice) => Line::from(format!(" {notice}")),
        None => hints(help.width),
    };
    write(buffer, help, &line);
}

/// The keys that fit; those at the end of the list are dropped first.
fn hints(width: u16) -> Line<'static> {
    let hints = HINTS.map(|(key, does)| {
        Line::from(vec![format!(" {key} ").into(), Span::styled(does, FAINT), " ".into()])
    });
    let mut room = usize::from(width);
    let fitting = hints.into_iter().rev().take_while(|hint| {
        let fits = hint.width() <= room;
        room = room.saturating_sub(hint.width());
        fits
    });
    let mut fitting: Vec<Line> = fitting.collect();
    fitting.reverse();
    Line::from(fitting.into_iter().flat_map(|hint| hint.spans).collect::<Vec<Span>>())
}

/// Splits the first `rows` rows off an area.
fn split(area: Rect, height: u16) -> (Rect, Rect) {
    let height = height.min(area.height);
    let below = Rect { y: area.y + height, height: area.height - height, ..area };
    (Rect { height, ..area }, below)
}

/// The activity on the left; on the right, where there is room, the piece, the number of notes and
/// their lateness.
fn draw_status(buffer: &mut Buffer, area: Rect, scene: &Scene) {
    let of = |performer| Style::new().fg(waterfall::color(performer, 3));
    let (person, pianola) = (of(Performer::Person), of(Performer::Pianola));
    let red = Style::new().fg(Color::Red);
    let (activity, style) = match scene.activity {
        Activity::Listening => ("listening", person),
        Activity::Answering => ("answering", pianola),
        Activity::Playing => ("playing", pianola),
        Activity::Paused => ("paused", FAINT),
        Activity::PortLost { .. } => ("port lost", red),
    };
    let left = Line::from(vec![
        Span::styled(format!(" ● {activity}  "), style),
        Span::styled(scene.port, Modifier::BOLD),
    ]);
    let seconds = scene.elapsed.as_micros() / 1_000_000;
    let seed = scene.seed.map_or(String::new(), |seed| format!("  seed {seed}"));
    let record = if scene.records { "  ● rec " } else { " " };
    let piece = [
        Span::styled(seed, FAINT),
        format!("  {}:{:02}", seconds / 60, seconds % 60).into(),
        Span::styled(record, red),
    ];
    let late = scene.late.as_micros() as f64 / 1e3;
    let performers = |count: String| {
        vec![
            Span::styled("  ■ ", person),
            Span::styled("you", FAINT),
            Span::styled("  ■ ", pianola),
            Span::styled(format!("Pianola{count}"), FAINT),
        ]
    };
    let counted = format!(" {}", scene.count);
    let measured = format!(" {}, {late:.1} ms late at most", scene.count);
    let room = usize::from(area.width).saturating_sub(left.width());
    let first = [performers(measured), performers(counted), performers(String::new()), vec![]];
    let rights = first.into_iter().map(|first| Line::from([&first[..], &piece].concat()));
    write(buffer, area, &left);
    if let Some(right) = rights.into_iter().find(|right| right.width() <= room) {
        let width = right.width() as u16;
        write(buffer, Rect { x: area.right() - width, width, ..area }, &right);
    }
}

/// The controls in columns, or only the selected one where there is no room for more.
fn draw_controls(buffer: &mut Buffer, area: Rect, columns: u16, scene: &Scene) {
    if area.is_empty() {
        return;
    }
    let fits = |control: &Control| area.height > 1 || *control == scene.chosen;
    let controls = Control::ALL.into_iter().filter(fits);
    for (place, control) in (0..).zip(controls) {
        let (column, row) = (place / area.height, place % area.height);
        let x = area.x + column * (area.width / columns);
        let width = CONTROL.min(area.right() - x);
        let (mark, style) = if control == scene.chosen {
            ("▸", Modifier::REVERSED)
        } else {
            (" ", Modifier::empty())
        };
        let value = shown(control, scene.controls);
        let text = format!("{mark}{:<NAME$}{value}", control.name());
        let line = Line::styled(format!("{text:<0$}", usize::from(CONTROL)), style);
        write(buffer, Rect { x, y: area.y + row, width, height: 1 }, &line);
    }
}

/// Writes a line, truncated to the area.
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

    fn at(seconds: f64) -> Instant {
        Instant::from_micros((seconds * 1e6).round() as u64)
    }

    fn note(performer: Performer, pitch: u8, velocity: u8, start: f64, end: Option<f64>) -> Played {
        Played { performer, pitch, velocity, start: at(start), end: end.map(at) }
    }

    /// A player has played a scale, and Pianola answers with chords.
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

    fn scene<'a>(notes: &'a [Played], controls: &'a Controls) -> Scene<'a> {
        Scene {
            port: "Digital Piano",
            activity: Activity::Answering,
            now: at(10.0),
            notes,
            count: 312,
            late: Micros::from_micros(430),
            seed: Some(42),
            elapsed: Micros::from_millis(83_900),
            records: true,
            controls,
            chosen: Control::Density,
            notice: None,
        }
    }

    fn seen(width: u16, height: u16, change: impl Fn(&mut Scene)) -> Terminal<TestBackend> {
        let (notes, controls) = (notes(), Controls::default());
        let mut scene = scene(&notes, &controls);
        change(&mut scene);
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        terminal
    }

    #[test]
    fn a_session_is_seen() {
        let expected = [
            " ● answering  Digital Piano          ■ you  ■ Pianola 312  seed 42  1:23  ● rec ",
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
            " temperature          1.00               lowest               A0                ",
            " pitch-temperature    1.00               highest              C8                ",
            " time-temperature     1.00               scale                every pitch       ",
            " velocity-temperature 1.00               polyphony            no limit          ",
            "▸density              the model's own    transposition        none              ",
            " ↑↓ choose  ←→ turn  0 reset  n new  s save  esc silence  space pause  q quit   ",
        ];
        let seen = seen(80, 24, |_| ()).backend().to_string();
        let lines: Vec<&str> = seen.lines().map(|line| line.trim_matches('"')).collect();
        assert_eq!(lines, expected, "\n{seen}");
    }

    #[test]
    fn performers_have_colours_of_their_own_and_loud_notes_are_brighter() {
        let terminal = seen(80, 24, |scene| scene.now = at(8.6));
        let buffer = terminal.backend().buffer();
        let colors = |x: u16| {
            let column = (4..18).map(move |y| &buffer[(x, y)]);
            let notes = column.filter(|cell| matches!(cell.symbol(), "▀" | "▄" | "█"));
            notes.map(|cell| cell.fg).collect::<Vec<_>>()
        };
        let column = |pitch: u16| pitch - 25; // the lowest of the 80 keys that fit
        let (soft, loud) = (colors(column(60)), colors(column(67)));
        let person = |loudness| waterfall::color(Performer::Person, loudness);
        assert_eq!((soft.last(), loud.last()), (Some(&person(2)), Some(&person(5))));
    }

    #[test]
    fn keys_that_sound_are_lit() {
        let lit = |now: Instant| {
            let terminal = seen(80, 24, |scene| scene.now = now);
            terminal.backend().buffer()[(43 - 25, 4)].bg
        };
        let (before, after) = (lit(at(9.4)), lit(at(9.6)));
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
        // Notes may last for ever, and lie outside the keyboard.
        let endless = [
            note(Performer::Person, 0, 127, 0.0, None),
            Played { end: Some(Instant::MAX), ..note(Performer::Pianola, 60, 127, 0.0, None) },
            Played { start: Instant::MAX, ..note(Performer::Pianola, 127, 1, 0.0, None) },
        ];
        for now in [Instant::START, Instant::MAX] {
            let mut terminal = Terminal::new(TestBackend::new(100, 30)).unwrap();
            let controls = Controls::default();
            let mut scene = scene(&endless, &controls);
            scene.now = now;
            terminal.draw(|frame| draw(frame, &scene)).unwrap();
            // The terminal has become smaller.
            terminal.backend_mut().resize(20, 10);
            terminal.draw(|frame| draw(frame, &scene)).unwrap();
            assert!(terminal.backend().to_string().contains("density"));
        }
    }

    #[test]
    fn controls_show_where_they_stand() {
        let mut controls = Controls::default();
        Control::Scale.set(&mut controls, 19);
        let notes = notes();
        let mut scene = scene(&notes, &controls);
        (scene.chosen, scene.activity) = (Control::Scale, Activity::PortLost { paused: false });
        let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
        terminal.draw(|frame| draw(frame, &scene)).unwrap();
        let text = terminal.backend().to_string();
        assert!(text.contains("▸scale                a-major, f#-minor"), "{text}");
        assert!(text.contains("● port lost"), "{text}");
        let marked = terminal.backend().buffer()[(45, 20)].modifier;
        assert!(marked.contains(Modifier::REVERSED));
    }

    #[test]
    fn narrow_terminals_keep_what_matters() {
        let seen = seen(60, 24, |scene| scene.activity = Activity::Paused).backend().to_string();
        let lines: Vec<&str> = seen.lines().map(|line| line.trim_matches('"')).collect();
        assert!(lines[23].contains("q quit") && lines[23].contains("space pause"), "{seen}");
        assert!(
            lines[0].contains("● paused") && lines[0].contains("seed 42  1:23  ● rec"),
            "{seen}"
        );
        let wide = self::seen(120, 24, |_| ()).backend().to_string();
        assert!(wide.contains("Pianola 312, 0.4 ms late at most"), "{wide}");
    }
}
