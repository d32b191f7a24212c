//! `pianola play`: music made up live, on an instrument.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::mpsc::{self, Sender};
use std::thread;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use pianola_runtime::Micros;

use crate::live::composer::{Piece, compose};
use crate::live::ear::Ear;
use crate::live::mapping::Mapping;
use crate::live::port::{self, Direction, Port};
use crate::live::reopen::{keep, listen, say};
use crate::live::session::Session;
#[cfg(unix)]
use crate::live::suspend;
use crate::live::timing::{Clock, Command, Duet, Mode, Reports, Timing};
use crate::options::output::{ensure_apart, ensure_writable};
use crate::options::source::Source;

#[derive(Args)]
#[command(after_help = "\
Examples:
  pianola play --list
  pianola play --port Piano --temperature 0.9 --density 6
  pianola play --serial /dev/ttyAMA0")]
pub struct Options {
    /// Output port: part of its name, its number in --list, or the path of a device [default: the only
    /// port, or a virtual one].
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Serial port for output at 31,250 baud, such as /dev/ttyAMA0.
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    serial: Option<PathBuf>,
    /// List the MIDI ports.
    #[arg(long)]
    list: bool,
    /// Input port of another player, named as for --port.
    #[arg(long, value_name = "PORT")]
    listen: Option<String>,
    /// How to play with the other player.
    #[arg(long, value_enum, default_value = "answer", requires = "listen")]
    mode: Mode,
    /// Seconds of silence after which Pianola answers.
    #[arg(long, default_value_t = 1.0, value_name = "S", requires = "listen")]
    gap: f64,
    /// Pass the input on to the output [default: on if they are different instruments].
    #[arg(long, value_enum, requires = "listen")]
    echo: Option<Switch>,
    /// MIDI controller map (TOML) [default: built-in].
    #[arg(long, value_name = "FILE.toml", requires = "listen")]
    map: Option<PathBuf>,
    /// Record the session to a .mid file.
    #[arg(long, value_name = "FILE.mid")]
    record: Option<PathBuf>,
    /// Disable the terminal view.
    #[arg(long)]
    no_view: bool,
    /// Notes to play [default: until stopped].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    notes: Option<u64>,
    #[command(flatten)]
    source: Source,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Switch {
    On,
    Off,
}

pub fn run(options: &Options) -> anyhow::Result<String> {
    if options.list {
        return Ok(port::list());
    }
    options.check()?;
    let seconds = options.source.seconds().unwrap_or(f64::INFINITY);
    let mapping = options.map.as_deref().map(Mapping::read).transpose()?.unwrap_or_default();
    let sampling = Mutex::new(options.source.controls.sampling()?);
    let port = match (&options.port, &options.serial) {
        (_, Some(path)) => Port::Device(path.clone()),
        (Some(name), None) => Port::named(name, Direction::Output)?,
        (None, None) => Port::default_output()?,
    };
    let other = options.listen.as_deref().map(|name| Port::named(name, Direction::Input));
    let other = other.transpose()?;
    let duet = other.as_ref().map(|other| options.duet(&port, other));
    let viewed = !options.no_view && io::stdout().is_terminal();
    // A view has no room for words.
    let say = if viewed { |_: &str| () } else { say };

    let clock = Clock::start();
    let (commands, inbox) = mpsc::channel();
    let quit = commands.clone();
    // Before anything can sound.
    ctrlc::set_handler(move || drop(quit.send(Command::Quit))).context("cannot await Ctrl-C")?;
    #[cfg(unix)]
    suspend::silence_first(commands.clone()).context("cannot await Ctrl-Z")?;
    let output = port.open_output()?;
    if let Some(other) = other {
        let (input, commands) = (other.open_input()?, commands.clone());
        // It ends with the program: nothing but its next message would wake it.
        thread::spawn(move || listen(&other, input, clock, &commands, say));
    }
    let (model, wanted) = mpsc::channel();
    let (lost, losses) = mpsc::channel();
    let (news, latest) = mpsc::channel();
    let watched = viewed || options.record.is_some();
    let reports = Reports { model, lost, news: watched.then_some(news) };
    let timing = Timing::new(clock, output, reports, duet, mapping);
    let seed = options.source.seed();
    let (name, port, commands, sampling) = (&port.to_string(), &port, &commands, &sampling);
    thread::scope(|scope| {
        let performing = scope.spawn(move || timing.perform(&inbox));
        scope.spawn(move || keep(port, &losses, commands, say));
        let watching = scope.spawn(move || {
            let _quit = viewed.then(|| QuitAtTheEnd(commands));
            let mut session = Session::new(clock, name, sampling);
            let show = || if viewed { session.show(&latest, commands) } else { Ok(()) };
            let shown = catch_unwind(AssertUnwindSafe(show));
            if !matches!(shown, Ok(Ok(()))) {
                let _ = commands.send(Command::Quit);
            }
            // Whatever becomes of the view, the recording is kept.
            session.follow(&latest);
            let kept = options.record.as_deref().map(|path| session.write(path)).transpose();
            shown.unwrap_or_else(|panic| resume_unwind(panic)).and(kept)
        });
        // Meanwhile the port is silenced.
        let composed = {
            let _quit = QuitAtTheEnd(commands);
            let ear = duet.map(|duet| Ear::new(duet.mode));
            options.source.open(|source| {
                let generator = source.generator(seed)?;
                let notes = options.notes.unwrap_or(u64::MAX);
                let piece = Piece { generator, primer: &source.primer, notes, seconds, seed };
                say(&format!("playing on {port}; Ctrl-C ends"));
                compose(piece, sampling, ear, &wanted, commands);
                Ok(())
            })
        };
        let (performed, watched) = (performing.join(), watching.join());
        composed?;
        let Ok(Ok(jitter)) = performed else { bail!("the timing thread has panicked") };
        let Ok(kept) = watched else { bail!("the view has panicked") };
        let wrote = match (kept?, &options.record) {
            (Some(true), Some(path)) => format!("wrote {}\n", path.display()),
            _ => String::new(),
        };
        Ok(format!("played {jitter}\n{wrote}"))
    })
}

impl Options {
    /// Refuses what can be refused before a port is opened.
    fn check(&self) -> anyhow::Result<()> {
        ensure!((0.0..=60.0).contains(&self.gap), "--gap must be from 0 to 60 seconds");
        if let Some(path) = &self.record {
            self.source.ensure_apart(path)?;
            self.map.iter().try_for_each(|map| ensure_apart(path, map))?;
            // Before an hour is played that could not be written.
            ensure_writable(path, &[])?;
            let new = !path.exists();
            File::options().append(true).create(true).open(path).with_context(|| {
                format!("cannot write {}: give --record another path", path.display())
            })?;
            if new {
                let _ = fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn duet(&self, port: &Port, other: &Port) -> Duet {
        let echo = self.echo.map_or(!port.is_same(other), |echo| echo == Switch::On);
        Duet { mode: self.mode, gap: (self.gap * 1e6) as Micros, echo }
    }
}

/// Has the timing thread fall silent and end, however this thread ends.
struct QuitAtTheEnd<'a>(&'a Sender<Command>);

impl Drop for QuitAtTheEnd<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Command::Quit);
    }
}
