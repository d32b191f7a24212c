//! `pianola play`: music generated live, on an instrument.

use std::fs::{self, File};
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use clap::{Args, ValueEnum};
use pianola_host::files::is_stream;
use pianola_runtime::{Channels, Controls, Micros};

use crate::live::composer::{Piece, compose};
use crate::live::controller_map::ControllerMap;
use crate::live::lock::lock;
use crate::live::notices::Notices;
use crate::live::open_port::Direction;
use crate::live::outgoing::OutputChannels;
use crate::live::performance::{Duet, Mode, Performance, Setup};
use crate::live::port::{self, Port};
use crate::live::queue::{Inbox, ModelQueue};
use crate::live::recording::Saving;
use crate::live::reopen::{keep, listen};
use crate::live::session::{Session, Stage, follow};
#[cfg(unix)]
use crate::live::signals;
use crate::live::timing::{Clock, Timing};
use crate::live::transcriber::Transcriber;
use crate::options::output::{self, ensure_apart, ensure_writable};
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
    #[arg(long, value_name = "PORT", help_heading = "Ports")]
    port: Option<String>,
    /// Serial port for output at 31,250 baud, such as /dev/ttyAMA0.
    #[arg(long, value_name = "PATH", conflicts_with = "port", help_heading = "Ports")]
    serial: Option<PathBuf>,
    /// Channel to play on, 1 to 16; with two, such as 1,2, pitches from middle C up go to the first.
    #[arg(long, value_name = "N[,N]", value_delimiter = ',', default_value = "1", help_heading = "Ports",
        value_parser = clap::value_parser!(u8).range(1..=16))]
    channel: Vec<u8>,
    /// List the MIDI ports.
    #[arg(long, help_heading = "Ports")]
    list: bool,
    /// Input port of another player, named as for --port.
    #[arg(long, value_name = "PORT", help_heading = "Duet")]
    listen: Option<String>,
    /// Answer in the other player's pauses, or accompany their playing.
    #[arg(long, value_enum, default_value = "answer", requires = "listen", help_heading = "Duet")]
    mode: Mode,
    /// Seconds of silence after which Pianola answers.
    #[arg(
        long,
        default_value_t = 1.0,
        value_name = "S",
        requires = "listen",
        help_heading = "Duet"
    )]
    gap: f64,
    /// Pass the input on to the output [default: on if they are different instruments].
    #[arg(long, value_enum, requires = "listen", help_heading = "Duet")]
    echo: Option<Switch>,
    /// Channels to listen to, 1 to 16, such as 1,2 [default: all but 10, the percussion channel].
    #[arg(long, value_name = "N,...", value_delimiter = ',', requires = "listen", help_heading = "Duet",
        value_parser = clap::value_parser!(u8).range(1..=16))]
    listen_channels: Option<Vec<u8>>,
    /// MIDI controller map (TOML) [default: built-in, as docs/controls.toml].
    #[arg(long, value_name = "FILE.toml", requires = "listen", help_heading = "Duet")]
    map: Option<PathBuf>,
    /// Record the session to a .mid file.
    #[arg(long, value_name = "FILE.mid", help_heading = "Output")]
    record: Option<PathBuf>,
    /// Disable the terminal view.
    #[arg(long, help_heading = "Output")]
    no_view: bool,
    /// Notes to play [default: until stopped].
    #[arg(long, value_name = "N", help_heading = "Music",
        value_parser = clap::value_parser!(u64).range(1..))]
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
    let mut setup = options.setup()?;
    let sampling = options.source.controls.sampling()?;
    let port = match (&options.port, &options.serial) {
        (_, Some(path)) => Port::Device(path.clone()),
        (Some(name), None) => Port::named(name, Direction::Output)?,
        (None, None) => Port::default_output()?,
    };
    let other = options.listen.as_deref().map(|name| Port::named(name, Direction::Input));
    let other = other.transpose()?;
    setup.duet = other.as_ref().map(|other| options.duet(&port, other));
    let duet = setup.duet;

    let stage = Stage {
        clock: Clock::start(),
        port: port.to_string(),
        session: Arc::new(Mutex::new(Session::new(
            options.is_viewed() || options.record.is_some(),
        ))),
        controls: Arc::new(Mutex::new(Controls { sampling, ..Controls::default() })),
        inbox: Arc::default(),
        notices: if options.is_viewed() { Notices::in_view() } else { Notices::on_stderr() },
        records: options.record.is_some(),
    };
    let seed = options.source.seed();
    let threads = Threads::start(options, &stage, port, other, setup)?;
    let Stage { clock, session, controls, inbox, notices, .. } = &stage;
    let mut view = None;
    // Meanwhile the port is silenced.
    let composed = options.source.open(|source| {
        let generator = source.generator(seed)?;
        options.source.say_seed(seed);
        let notes = options.notes.unwrap_or(u64::MAX);
        let piece = Piece { generator, primer: &source.primer, notes, seconds, seed };
        // Not before the files are open: what is said of them would be lost in the view.
        if options.is_viewed() {
            view = Some(stage.clone().start());
        } else {
            notices.say(format!("playing on {}; Ctrl-C ends", stage.port));
        }
        let begin = |seed| lock(session).begin(seed, clock.now());
        let transcriber = duet.map(|duet| Transcriber::new(duet.mode));
        compose(piece, controls, transcriber, &threads.model, inbox, begin);
        Ok(())
    });
    inbox.quit();
    let ended = threads.end(options, view);
    notices.flush();
    composed?;
    let seeds = lock(session).seeds();
    ended.map(|played| format!("{played}\n{seeds}\n"))
}

/// The threads of a performance; the model runs on this one.
struct Threads {
    timing: JoinHandle<thread::Result<String>>,
    recorder: JoinHandle<anyhow::Result<bool>>,
    model: Arc<ModelQueue>,
}

/// The view's thread: dropping the sender ends it, and it says how it ended.
type Shown = (Sender<()>, Receiver<anyhow::Result<()>>);

impl Threads {
    fn start(
        options: &Options,
        stage: &Stage,
        port: Port,
        other: Option<Port>,
        setup: Setup,
    ) -> anyhow::Result<Self> {
        let Stage { clock, session, inbox, notices, .. } = stage;
        let (clock, saving) = (*clock, Saving::default());
        // Before the first note can sound.
        handle_signals(inbox, &saving)?;
        let output = port.open_output()?;
        let input = other.as_ref().map(Port::open_input).transpose()?;
        if let (Some(other), Some(input)) = (other, input) {
            let (inbox, notices) = (Arc::clone(inbox), notices.clone());
            // This thread ends with the program: only its next message would wake it.
            thread::spawn(move || listen(&other, input, clock, &inbox, &notices));
        }
        let model = Arc::<ModelQueue>::default();
        let (lost, losses) = mpsc::channel();
        let (updates, latest) = mpsc::sync_channel(UPDATES);
        let timing = Timing {
            clock,
            performance: Performance::new(setup, clock.now()),
            port: Some(output),
            inbox: Arc::clone(inbox),
            model: Arc::clone(&model),
            lost,
            updates,
        };
        let timing = thread::spawn(move || Ok(format!("played {}", timing.perform()?)));
        thread::spawn({
            let (inbox, notices) = (Arc::clone(inbox), notices.clone());
            move || keep(&port, &losses, &inbox, &notices)
        });
        let recorder = thread::spawn({
            let (session, notices, record) =
                (Arc::clone(session), notices.clone(), options.record.clone());
            move || {
                follow(&session, &latest, &notices);
                let recording = lock(&session).recording().cloned().unwrap_or_default();
                let keep = |path: PathBuf| recording.keep(&path, clock.now());
                saving.during(|| record.map_or(Ok(false), keep))
            }
        });
        Ok(Self { timing, recorder, model })
    }

    /// Waits for all that must end, and for nothing else; says what was played.
    fn end(self, options: &Options, view: Option<Shown>) -> anyhow::Result<String> {
        let verb = options.record.as_deref().map_or("wrote", output::verb);
        let performed = self.timing.join();
        let kept = self.recorder.join();
        let well = matches!((&performed, &kept), (Ok(Ok(_)), Ok(Ok(_))));
        let shown = view.map_or(Ok(()), |(over, shown)| {
            drop(over);
            shown.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                abandon_terminal(if well { 0 } else { 1 });
                Ok(())
            })
        });
        let Ok(Ok(played)) = performed else { bail!("the timing thread has panicked") };
        let kept = kept.map_err(|_| anyhow!("the recording thread has panicked"))??;
        shown?;
        let wrote = options.record.as_ref().filter(|_| kept);
        let wrote = wrote.map_or(String::new(), |path| format!("\n{verb} {}", path.display()));
        Ok(played + &wrote)
    }
}

/// Maximum number of messages by which the recording may lag behind.
const UPDATES: usize = 1 << 16;

/// How long the end waits for a terminal that nobody reads, or that is slow.
const PATIENCE: Duration = Duration::from_millis(200);

/// Gives back a terminal that takes nothing, and ends the program without its last words if that goes on.
fn abandon_terminal(status: i32) {
    let _ = ratatui::crossterm::terminal::disable_raw_mode();
    thread::spawn(move || {
        thread::sleep(PATIENCE);
        std::process::exit(status);
    });
}

#[cfg(unix)]
fn handle_signals(inbox: &Arc<Inbox>, saving: &Saving) -> anyhow::Result<()> {
    signals::handle(Arc::clone(inbox), saving.clone()).context("cannot await signals")
}

#[cfg(not(unix))]
fn handle_signals(inbox: &Arc<Inbox>, _: &Saving) -> anyhow::Result<()> {
    let inbox = Arc::clone(inbox);
    ctrlc::set_handler(move || inbox.quit()).context("cannot await Ctrl-C")
}

impl Options {
    /// Checks the options before a port is opened.
    fn check(&self) -> anyhow::Result<()> {
        ensure!((0.0..=60.0).contains(&self.gap), "--gap must be from 0 to 60 seconds");
        if let Some(path) = &self.record {
            self.source.ensure_apart(path)?;
            self.map.iter().try_for_each(|map| ensure_apart(path, map))?;
            ensure_writable(path, &["mid", "midi"])?;
            // Before an hour is played that could not be written.
            if !is_stream(path) {
                let new = !path.exists();
                File::options().append(true).create(true).open(path).with_context(|| {
                    format!("cannot write {}: give --record another path", path.display())
                })?;
                if new {
                    // Through a link, the file that it points to.
                    let _ = fs::remove_file(path.canonicalize().unwrap_or_else(|_| path.clone()));
                }
            }
        }
        ensure!(self.channel.len() <= 2, "--channel takes one channel, or one for each hand");
        Ok(())
    }

    fn is_viewed(&self) -> bool {
        !self.no_view && io::stdout().is_terminal()
    }

    fn setup(&self) -> anyhow::Result<Setup> {
        let map = self.map.as_deref().map(ControllerMap::read).transpose()?.unwrap_or_default();
        let listen = self.listen_channels.as_ref().map_or(Channels::PITCHED, |channels| {
            channels.iter().fold(Channels::NONE, |all, channel| all.with(channel - 1))
        });
        let right = self.channel.first().map_or(0, |channel| channel - 1);
        let left = self.channel.get(1).map_or(right, |channel| channel - 1);
        Ok(Setup { duet: None, map, listen, output: OutputChannels { right, left } })
    }

    fn duet(&self, port: &Port, other: &Port) -> Duet {
        let echo = self.echo.map_or(!port.is_same(other), |echo| echo == Switch::On);
        Duet { mode: self.mode, gap: Micros::from_micros((self.gap * 1e6) as u64), echo }
    }
}
