//! Playing live: ports, timing, the terminal view and what is kept of a performance.

pub mod composer;
pub mod ear;
pub mod jitter;
pub mod knobs;
pub mod mapping;
pub mod port;
#[cfg(unix)]
pub mod raw_port;
pub mod recording;
pub mod reopen;
pub mod session;
#[cfg(unix)]
pub mod suspend;
#[cfg(any(feature = "alsa", target_os = "macos", windows))]
pub mod system_port;
#[cfg(not(any(feature = "alsa", target_os = "macos", windows)))]
#[path = "no_system_port.rs"]
pub mod system_port;
pub mod timing;
pub mod view;
pub mod waterfall;
