//! Live performance: ports, timing, the terminal view and recording.

pub mod composer;
pub mod controller_map;
pub mod jitter;
pub mod keys;
pub mod lock;
pub mod notices;
pub mod open_port;
pub mod outgoing;
pub mod performance;
pub mod pitches;
pub mod played;
pub mod port;
pub mod queue;
#[cfg(unix)]
pub mod raw_port;
pub mod recording;
pub mod reopen;
pub mod session;
pub mod shown;
#[cfg(unix)]
pub mod signals;
#[cfg(any(feature = "alsa", target_os = "macos", windows))]
pub mod system_port;
#[cfg(not(any(feature = "alsa", target_os = "macos", windows)))]
#[path = "no_system_port.rs"]
pub mod system_port;
pub mod timing;
pub mod transcriber;
pub mod view;
pub mod waterfall;
