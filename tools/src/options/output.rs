//! Output files: problems with their paths are reported before any work is done for them.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, ensure};
use clap::builder::{OsStringValueParser, TypedValueParser};
use pianola_host::files::{self, STANDARD_OUTPUT, write_whole};
use pianola_picture::canvas::Picture;

/// Parser for the path of an output, where `-` means standard output.
pub fn path() -> impl TypedValueParser<Value = PathBuf> {
    OsStringValueParser::new()
        .map(|path| PathBuf::from(if path == "-" { STANDARD_OUTPUT.into() } else { path }))
}

/// Refuses a path that cannot be written: a folder, a read-only file, a file in a missing folder, and one
/// whose name has none of the extensions `endings`, if there are any. Returns the extension in lower
/// case; for standard output, a pipe or a device, it is the first.
pub fn ensure_writable(out: &Path, endings: &[&str]) -> anyhow::Result<String> {
    if files::is_standard_output(out) {
        STANDARD_OUTPUT_TAKEN.store(true, Ordering::Relaxed);
    }
    let name = out.display();
    let ending = out.extension().unwrap_or_default().to_ascii_lowercase();
    let ending = ending.to_string_lossy().into_owned();
    let known = endings.is_empty() || endings.contains(&ending.as_str());
    if files::is_stream(out) {
        let first = endings.first().map_or(String::new(), ToString::to_string);
        return Ok(if known { ending } else { first });
    }
    let kinds: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    let kinds = kinds.join(" or ");
    let a_file = if endings.is_empty() { "a file".into() } else { format!("a {kinds} file") };
    ensure!(!out.is_dir(), "{name} is a folder: name {a_file} in it");
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!("cannot write {name}: there is no folder {}", folder.display());
    }
    ensure!(known, "cannot write {name}: its name must end in {kinds}");
    let read_only = out.metadata().is_ok_and(|there| there.permissions().readonly());
    ensure!(!read_only, "cannot write {name}: the file is read-only; name another file");
    Ok(ending)
}

/// Refuses to overwrite an input file.
pub fn ensure_apart(out: &Path, input: &Path) -> anyhow::Result<()> {
    let same =
        matches!((out.canonicalize(), input.canonicalize()), (Ok(out), Ok(input)) if out == input);
    ensure!(!same, "{} would be overwritten: name another file", input.display());
    Ok(())
}

/// Writes a picture as PNG or, if its name ends in `.svg`, as SVG with a title. Returns the report's verb.
pub fn write_picture(out: &Path, picture: &Picture, title: &str) -> anyhow::Result<&'static str> {
    let verb = verb(out);
    let svg = out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
    let bytes = picture.encode(if svg { "svg" } else { "png" }, title)?;
    write_whole(out, &bytes).with_context(|| format!("cannot write {}", name(out)))?;
    Ok(verb)
}

/// The report's verb for writing a file: "wrote", or "replaced" if it exists.
pub fn verb(out: &Path) -> &'static str {
    if out.is_file() && !files::is_stream(out) { "replaced" } else { "wrote" }
}

/// The name of an output in a report.
pub fn name(out: &Path) -> String {
    if files::is_standard_output(out) {
        "standard output".into()
    } else {
        out.display().to_string()
    }
}

/// Whether a file goes to standard output, so that no other text may go there.
pub fn takes_standard_output() -> bool {
    STANDARD_OUTPUT_TAKEN.load(Ordering::Relaxed)
}

/// Global, since standard output belongs to the process.
static STANDARD_OUTPUT_TAKEN: AtomicBool = AtomicBool::new(false);

/// Signals that ask a program to end.
#[cfg(unix)]
pub const ENDS: [i32; 8] = {
    use signal_hook::consts::{
        SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGXCPU,
    };
    [SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGALRM, SIGXCPU]
};

/// From now on, a signal that ends this program removes its temporary files first.
#[cfg(unix)]
pub fn clean_up_at_signals() -> io::Result<()> {
    use signal_hook::consts::SIGXFSZ;
    use signal_hook::iterator::Signals;
    use signal_hook::low_level::emulate_default_handler;

    let ignored = ignored_signals();
    // Signals that the parent made this program ignore, as `nohup` does, stay ignored.
    let ends = ENDS.into_iter().chain([SIGXFSZ]);
    let handled = ends.filter(|signal| ignored >> (signal - 1) & 1 == 0);
    let mut signals = Signals::new(handled)?;
    std::thread::spawn(move || {
        for signal in signals.forever() {
            let _no_new_ones = files::remove_temporaries();
            let _ = emulate_default_handler(signal);
        }
    });
    Ok(())
}

/// The signals that this process ignores, as a mask whose bit 0 is signal 1; none where the system does not
/// say.
#[cfg(unix)]
fn ignored_signals() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}

/// From now on, Ctrl-C removes the temporary files of this program before it ends.
#[cfg(not(unix))]
pub fn clean_up_at_signals() -> io::Result<()> {
    let interrupted = || {
        let _no_new_ones = files::remove_temporaries();
        std::process::exit(130);
    };
    ctrlc::set_handler(interrupted).map_err(io::Error::other)
}
