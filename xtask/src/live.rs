//! Live performance: latency and jitter on this machine, and the ports of a JACK server.

use anyhow::ensure;

use crate::shell::{cargo, install, program, run as start, succeeds};

/// Debian packages of the JACK server and of the libraries that the ports link against.
const PACKAGES: [&str; 4] = ["jackd2", "libasound2-dev", "libjack-jackd2-dev", "pkg-config"];

/// Runs the slow and the timing tests, then those with JACK, which it installs if necessary.
pub fn run() -> anyhow::Result<()> {
    let mut tests = cargo();
    tests.args(["test", "--test", "live", "--", "--ignored"]);
    start(tests.args(["--nocapture", "--test-threads", "1"]))?;

    if !there() {
        install(&PACKAGES);
    }
    ensure!(
        there(),
        "the JACK server or its libraries are missing: install them (on Debian, `apt-get install {}`)",
        PACKAGES.join(" ")
    );
    for features in ["alsa", "jack"] {
        let mut lint = cargo();
        lint.args(["clippy", "-p", "pianola-tools", "--all-targets", "--features", features]);
        start(lint.args(["--", "-D", "warnings"]))?;
    }
    let mut tests = cargo();
    // The tests build the command line with these features.
    tests.env("PIANOLA_FEATURES", "jack").env("JACK_DEFAULT_SERVER", "pianola-test");
    tests.args(["test", "--test", "jack", "--", "--ignored", "--nocapture"]);
    start(tests.args(["--test-threads", "1"]))
}

/// Whether the server and the libraries are installed.
fn there() -> bool {
    succeeds(program("jackd").arg("--version"))
        && succeeds(program("pkg-config").args(["--exists", "jack", "alsa"]))
}
