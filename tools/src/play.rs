//! `tools play`: music made up live, on an instrument.

use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;

use anyhow::{Context, bail, ensure};
use clap::{Args, ValueEnum};
use pianola_runtime::{Generator, MAX_HIDDEN, MAX_LAYERS, Micros};

use crate::composer::{Piece, compose};
use crate::controls::Controls;
use crate::ear::Ear;
use crate::filter_file::{FilterFile, Originality};
use crate::generate::drawn_seed;
use crate::hands::WhichHands;
use crate::model_file::ModelFile;
use crate::port::{self, Direction, Port};
use crate::primer::Primer;
use crate::reopen::{keep, listen, say};
use crate::timing::{Clock, Command, Duet, Mode, Performer, Report};

#[derive(Args)]
#[command(after_help = "\
Examples:
  tools play --list
  tools play --port Piano --temperature 0.9 --density 6
  tools play --serial /dev/ttyAMA0")]
pub struct Options {
    /// Port to play on: a part of its name, its number in the list, or the path of a device [default:
    /// the only one, or a virtual one that others connect to].
    #[arg(long, value_name = "PORT")]
    port: Option<String>,
    /// Serial line to play on, at MIDI's 31,250 baud, such as /dev/ttyAMA0.
    #[arg(long, value_name = "PATH", conflicts_with = "port")]
    serial: Option<PathBuf>,
    /// List the ports.
    #[arg(long)]
    list: bool,
    /// Port of someone to play with, named as for --port; it may be of the same instrument.
    #[arg(long, value_name = "PORT")]
    listen: Option<String>,
    /// How to play with them.
    #[arg(long, value_enum, default_value = "answer", requires = "listen")]
    mode: Mode,
    /// Answer once no key has been held for so many seconds.
    #[arg(long, default_value_t = 1.0, value_name = "S", requires = "listen")]
    gap: f64,
    /// Pass what they play on to the port [default: on if it is of another instrument].
    #[arg(long, value_enum, requires = "listen")]
    echo: Option<Switch>,
    /// Model file [default: the bundled one].
    #[arg(long, value_name = "FILE")]
    model: Option<PathBuf>,
    /// Notes to play [default: until stopped].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    notes: Option<u64>,
    /// Play so many seconds: stop before the first note that starts later.
    #[arg(long, value_name = "S")]
    seconds: Option<f64>,
    #[command(flatten)]
    controls: Controls,
    #[command(flatten)]
    originality: Originality,
    /// The same seed makes the same piece, everywhere [default: drawn, and printed].
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    #[command(flatten)]
    hands: WhichHands,
    #[command(flatten)]
    primer: Primer,
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
    let port = match (&options.port, &options.serial) {
        (_, Some(path)) => Port::Device(path.clone()),
        (Some(name), None) => Port::named(name, Direction::Output)?,
        (None, None) => Port::default_output()?,
    };
    let other = options.listen.as_deref().map(|name| Port::named(name, Direction::Input));
    let other = other.transpose()?;
    let duet = other.as_ref().map(|other| options.duet(&port, other));

    let clock = Clock::start();
    let (commands, inbox) = mpsc::channel();
    let quit = commands.clone();
    // Before anything can sound.
    ctrlc::set_handler(move || drop(quit.send(Command::Quit))).context("cannot await Ctrl-C")?;
    let output = port.open_output()?;
    if let Some(other) = other {
        let (input, commands) = (other.open_input()?, commands.clone());
        // It ends with the program: nothing but its next message would wake it.
        thread::spawn(move || listen(&other, input, clock, &commands));
    }
    let (reports, wanted) = mpsc::channel();
    let (lost, losses) = mpsc::channel();
    let performer = Performer::new(clock, output, reports, lost, duet);
    let (port, commands) = (&port, &commands);
    thread::scope(|scope| {
        let performing = scope.spawn(move || performer.perform(&inbox));
        scope.spawn(move || keep(port, &losses, commands));
        // The port is silenced meanwhile.
        let composed = {
            let _quit = QuitAtTheEnd(commands);
            options.compose(
                duet,
                || say(&format!("playing on {port}; Ctrl-C ends")),
                &wanted,
                commands,
            )
        };
        let performed = performing.join();
        composed?;
        match performed {
            Ok(Ok(lateness)) => Ok(format!("played {lateness}\n")),
            _ => bail!("the timing thread has panicked"),
        }
    })
}

impl Options {
    /// Refuses what can be refused before a port is opened.
    fn check(&self) -> anyhow::Result<()> {
        self.controls.sampling()?;
        if let Some(seconds) = self.seconds {
            ensure!(seconds > 0.0 && seconds.is_finite(), "--seconds must be a number above 0");
        }
        ensure!((0.0..=60.0).contains(&self.gap), "--gap must be from 0 to 60 seconds");
        Ok(())
    }

    fn duet(&self, port: &Port, other: &Port) -> Duet {
        let echo = self.echo.map_or(!port.is_same(other), |echo| echo == Switch::On);
        Duet { mode: self.mode, gap: (self.gap * 1e6) as Micros, echo }
    }

    /// Opens what notes are made up from, says that it is there, and makes them up.
    fn compose(
        &self,
        duet: Option<Duet>,
        ready: impl FnOnce(),
        reports: &Receiver<Report>,
        commands: &Sender<Command>,
    ) -> anyhow::Result<()> {
        let sampling = self.controls.sampling()?;
        let file = ModelFile::open(self.model.as_deref())?;
        let model = file.model()?;
        let filter_file = self.originality.open(self.model.as_deref())?;
        let filter = filter_file.as_ref().map(FilterFile::filter).transpose()?;
        let primer = self.primer.read(&model)?;
        let seed = self.seed.unwrap_or_else(drawn_seed);
        let generator = Generator::<MAX_LAYERS, MAX_HIDDEN>::new(&model, seed);
        let mut generator = generator.map_err(|error| file.refused(error))?;
        generator.keep_from(filter.as_ref());
        generator.restart_for(self.hands.told(), seed);
        ready();
        let piece = Piece {
            generator,
            primer: &primer,
            notes: self.notes.unwrap_or(u64::MAX),
            seconds: self.seconds.unwrap_or(f64::INFINITY),
        };
        let ear = duet.map(|duet| Ear::new(duet.mode));
        compose(piece, &sampling, ear, reports, commands);
        Ok(())
    }
}

/// Has the timing thread fall silent and end, however this thread ends.
struct QuitAtTheEnd<'a>(&'a Sender<Command>);

impl Drop for QuitAtTheEnd<'_> {
    fn drop(&mut self) {
        let _ = self.0.send(Command::Quit);
    }
}
