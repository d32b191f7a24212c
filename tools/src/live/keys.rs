//! Computer keys that control a performance.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, sleep};
use std::time::Duration;

use pianola_runtime::Control;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Commands of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Select the control that the arrow keys change.
    Choose(Control),
    /// Change a control by this number of steps.
    Step(Control, i16),
    /// Reset a control to its initial value.
    Reset(Control),
    /// Start another piece.
    Start,
    /// Pause or resume.
    Pause,
    /// Silence everything, and pause.
    Panic,
    /// Save the last piece.
    Save,
    Quit,
}

/// The keys and their commands; where there is no room for all, the first have priority.
pub const HINTS: [(&str, &str); 8] = [
    ("↑↓", "choose"),
    ("←→", "turn"),
    ("0", "reset"),
    ("n", "new"),
    ("s", "save"),
    ("esc", "silence"),
    ("space", "pause"),
    ("q", "quit"),
];

/// The command of a key while a control is selected.
pub fn action(key: KeyEvent, chosen: Control) -> Option<Action> {
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let neighbour = |steps: isize| {
        let place = Control::ALL.iter().position(|&control| control == chosen)?;
        Control::ALL.get(place.checked_add_signed(steps)?).copied().map(Action::Choose)
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
        KeyCode::Char('s') => Some(Action::Save),
        KeyCode::Char('q') => Some(Action::Quit),
        KeyCode::Esc => Some(Action::Panic),
        _ => None,
    }
}

/// Maximum number of queued keys.
const MOST: usize = 64;

/// Consecutive errors after which reading stops.
const ERRORS: u32 = 50;

/// Reads keys on a separate thread: half an escape sequence makes crossterm block until the rest of it
/// arrives. No other thread waits for this one.
pub fn watch_keys() -> Receiver<KeyEvent> {
    let (keys, pressed) = sync_channel(MOST);
    thread::spawn(move || {
        let mut errors = 0;
        while errors < ERRORS {
            match event::read() {
                Ok(Event::Key(key)) => {
                    errors = 0;
                    if keys.send(key).is_err() {
                        return;
                    }
                }
                Ok(_) => errors = 0,
                Err(_) => {
                    errors += 1;
                    sleep(Duration::from_millis(20));
                }
            }
        }
    });
    pressed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_ask_for_something() {
        let key = |code| action(KeyEvent::new(code, KeyModifiers::NONE), Control::Density);
        assert_eq!(key(KeyCode::Up), Some(Action::Choose(Control::VelocityTemperature)));
        assert_eq!(key(KeyCode::Down), Some(Action::Choose(Control::Lowest)));
        assert_eq!(key(KeyCode::Left), Some(Action::Step(Control::Density, -1)));
        assert_eq!(key(KeyCode::Right), Some(Action::Step(Control::Density, 1)));
        assert_eq!(key(KeyCode::Char('0')), Some(Action::Reset(Control::Density)));
        assert_eq!(key(KeyCode::Char(' ')), Some(Action::Pause));
        assert_eq!(key(KeyCode::Char('n')), Some(Action::Start));
        assert_eq!(key(KeyCode::Char('s')), Some(Action::Save));
        assert_eq!(key(KeyCode::Esc), Some(Action::Panic));
        assert_eq!(key(KeyCode::Char('q')), Some(Action::Quit));
        assert_eq!(key(KeyCode::Char('c')), None);
        let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(action(interrupt, Control::Density), Some(Action::Quit));
        // At the ends the control cannot move further, and releasing a key has no command.
        let up = KeyEvent::new(KeyCode::Up, KeyModifiers::NONE);
        assert_eq!(action(up, Control::ALL[0]), None);
        assert_eq!(action(KeyEvent { kind: KeyEventKind::Release, ..up }, Control::Density), None);
    }
}
