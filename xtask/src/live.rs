//! `pianola play` beyond what needs only Rust: on ports of a JACK server, and how punctual it is.

use crate::shell::{cargo, install, program, root, run as start, succeeds};

/// Debian's packages of the server and of what the ports are built with.
const PACKAGES: [&str; 4] = ["jackd2", "libasound2-dev", "libjack-jackd2-dev", "pkg-config"];

/// Runs the tests that take long or measure, then those with JACK, where that can be had.
pub fn run() -> anyhow::Result<()> {
    let mut tests = cargo();
    tests.args(["test", "-p", "pianola-tests", "--test", "live", "--", "--ignored"]);
    start(tests.args(["--nocapture", "--test-threads", "1"]))?;

    if !there() {
        install(&PACKAGES);
    }
    if !there() {
        println!(
            "NOT RUN: the tests with JACK (on Debian, apt-get install {})",
            PACKAGES.join(" ")
        );
        return Ok(());
    }
    // Features change everything that is built: it has a folder of its own.
    let target = root().join("target/live");
    let built = |subcommand: &str| {
        let mut cargo = cargo();
        cargo.env("CARGO_TARGET_DIR", &target).env("PIANOLA_FEATURES", "jack").arg(subcommand);
        cargo
    };
    // Also the ports that no server is needed for.
    for features in ["alsa", "jack"] {
        let mut lint = built("clippy");
        lint.args(["-p", "pianola-tools", "--all-targets", "--features", features]);
        start(lint.args(["--", "-D", "warnings"]))?;
    }
    let mut tests = built("test");
    tests.env("JACK_DEFAULT_SERVER", "pianola-test");
    tests.args(["-p", "pianola-tests", "--test", "jack", "--", "--ignored"]);
    start(tests.args(["--nocapture", "--test-threads", "1"]))
}

/// Whether server and libraries are installed.
fn there() -> bool {
    succeeds(program("jackd").arg("--version"))
        && succeeds(program("pkg-config").args(["--exists", "jack", "alsa"]))
}
