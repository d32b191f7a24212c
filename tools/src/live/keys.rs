//! The keys of the computer that play with a performance.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{self, sleep};
use std::time::Duration;

use pianola_runtime::Control;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Let arrow keys turn this control.
    Choose(Control),
    /// Move a control by so many steps.
    Step(Control, i16),
    /// Set a control as it was at the start.
    Reset(Control),
    /// Start another piece.
    Start,
    /// Play no more, or go on.
    Pause,
    /// Silence everything, and play no more.
    Panic,
    /// Save the last piece.
    Save,
    Quit,
}

/// The keys and what they do; where there is no room for all, the first go first.
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

/// What a key asks for, while a control is chosen.
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

/// Keys that wait at most.
const MOST: usize = 64;

/// Errors in a row after which no key is expected any more.
const ERRORS: u32 = 50;

/// Reads keys on a thread of its own: half an escape sequence keeps crossterm reading until the rest of
/// it comes. Nobody waits for this thread.
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
        // At the ends there is nothing further, and letting go of a key asks for nothing.
        let up = KeyEvent::new(KeyCode::Up, KeyModifiers::NONE);
        assert_eq!(action(up, Control::ALL[0]), None);
        assert_eq!(action(KeyEvent { kind: KeyEventKind::Release, ..up }, Control::Density), None);
    }
}
