//! Progress bars and spinners, on a terminal only. A bar shows the time left for its step of a job; a step of
//! unknown length has a spinner. `generate` has one bar for all its pieces and their audio.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// The bar of a job with a label and a number of steps.
pub fn bar(label: &'static str, steps: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {bar:40} {percent:>3} %, {eta} left");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(steps).with_style(style).with_message(label)
}

/// The elapsed time of a job of unknown length, and its current message.
pub fn spinner() -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
    let spinner = ProgressBar::new_spinner().with_style(style);
    spinner.enable_steady_tick(Duration::from_millis(100));
    spinner
}

/// Shows what a step of unknown length is while it runs.
pub fn during<T>(step: &'static str, run: impl FnOnce() -> T) -> T {
    let spinner = spinner();
    spinner.set_message(step);
    let result = run();
    spinner.finish_and_clear();
    result
}
