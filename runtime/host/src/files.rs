//! Atomic writing of files.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tempfile::{Builder, NamedTempFile};

/// The path that means standard output, also on systems without such a file.
pub const STANDARD_OUTPUT: &str = "/dev/stdout";

/// Writes a file under a temporary name in its folder and renames it: a crash or a full disk
/// leaves the old file, or none, but never a part of the new one.
///
/// - A link stays, and the file that it points to is written. If there is none, it is created there.
/// - A file that is replaced keeps its mode and owner. Where that takes writing into the file itself
///   (it has several hard links, its owner cannot be set, or its folder is read-only), it is written in
///   place, which a crash may interrupt.
/// - A read-only file is refused, even if the user is privileged.
/// - A device or a pipe is written to. What a file descriptor such as [`STANDARD_OUTPUT`] or `/dev/fd/3`
///   refers to is appended to.
///
/// # Errors
/// The system's error; the temporary file is removed.
pub fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write_whole_with(path, |file| file.write_all(bytes))
}

/// As [`write_whole`], for content too large for memory: `write` writes it part by part.
///
/// # Errors
/// The error of `write` or of the system; the temporary file is removed.
pub fn write_whole_with(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    match Target::of(path)? {
        Target::StandardOutput => {
            let mut stdout = io::stdout().lock();
            write(&mut stdout)?;
            stdout.flush()
        }
        Target::Descriptor(path) => write(&mut OpenOptions::new().append(true).open(path)?),
        Target::Device(path) => write(&mut OpenOptions::new().write(true).open(path)?),
        Target::New(path) => {
            let mut temporary = Temporary::beside(&path)?;
            temporary.fill(write)?;
            temporary.rename(&path)
        }
        Target::File(path, there) => replace(&path, &there, write),
    }
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// What the system says, or that the file is larger.
pub fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let larger = format!("larger than {} MiB", most >> 20);
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, larger));
    }
    Ok(bytes)
}

/// Whether a path names standard output: [`STANDARD_OUTPUT`] or another name of it.
pub fn is_standard_output(path: &Path) -> bool {
    matches!(Target::of(path), Ok(Target::StandardOutput))
}

/// Whether a path names a device, a pipe or a file descriptor rather than a file.
pub fn is_stream(path: &Path) -> bool {
    let target = Target::of(path);
    matches!(target, Ok(Target::StandardOutput | Target::Descriptor(_) | Target::Device(_)))
}

/// Removes the temporary files of [`write_whole`] that exist now. While the guard lives, no other is created:
/// a signal handler holds it until the process ends.
pub fn remove_temporaries() -> impl Sized {
    let temporaries = temporaries();
    for path in temporaries.iter() {
        let _ = fs::remove_file(path);
    }
    temporaries
}

/// The target of a path.
enum Target {
    StandardOutput,
    /// Another open file of this process, by its path in the folder of descriptors.
    Descriptor(PathBuf),
    Device(PathBuf),
    File(PathBuf, Metadata),
    New(PathBuf),
}

impl Target {
    /// Most links that are followed in a row, as on Linux.
    const MOST_LINKS: usize = 40;

    fn of(path: &Path) -> io::Result<Self> {
        if path == Path::new(STANDARD_OUTPUT) {
            return Ok(Self::StandardOutput);
        }
        let mut path = path.to_path_buf();
        for _ in 0..Self::MOST_LINKS {
            match descriptor(&path) {
                Some(1) => return Ok(Self::StandardOutput),
                Some(_) => return Ok(Self::Descriptor(path)),
                None => {}
            }
            match fs::symlink_metadata(&path) {
                Ok(there) if there.is_symlink() => {
                    let to = fs::read_link(&path)?;
                    path = path.parent().unwrap_or(Path::new("")).join(to);
                }
                Ok(there) if there.is_file() => return Ok(Self::File(path, there)),
                Ok(there) if there.is_dir() => return Err(io::ErrorKind::IsADirectory.into()),
                Ok(_) => return Ok(Self::Device(path)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    return Ok(Self::New(path));
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("too many levels of symbolic links"))
    }
}

/// The number of the file descriptor that a path in `/dev/fd` or `/proc/self/fd` names.
fn descriptor(path: &Path) -> Option<u32> {
    let number = path.file_name()?.to_str()?.parse().ok()?;
    let folder = path.parent()?.canonicalize().ok()?;
    (Path::new("/dev/fd").canonicalize().ok()? == folder).then_some(number)
}

/// Replaces a file by another with its mode and owner, or writes into it.
fn replace(
    path: &Path,
    there: &Metadata,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    let read_only = || io::Error::new(io::ErrorKind::PermissionDenied, "the file is read-only");
    if there.permissions().readonly() {
        return Err(read_only());
    }
    // Refuses files that this user may not write, even if they may rename over them.
    let file = OpenOptions::new().write(true).open(path)?;
    if has_several_names(there) {
        return overwrite(file, write);
    }
    let mut temporary = match Temporary::beside(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            return overwrite(file, write);
        }
        temporary => temporary?,
    };
    if !temporary.resembles(there) {
        return overwrite(file, write);
    }
    temporary.fill(write)?;
    temporary.rename(path)
}

fn overwrite(
    mut file: File,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> io::Result<()> {
    write(&mut file)?;
    let end = file.stream_position()?;
    file.set_len(end)?;
    file.sync_all()
}

/// Whether hard links give a file more than one name.
fn has_several_names(file: &Metadata) -> bool {
    #[cfg(unix)]
    return std::os::unix::fs::MetadataExt::nlink(file) > 1;
    #[cfg(not(unix))]
    return {
        let _ = file;
        false
    };
}

/// The temporary files of this process.
static TEMPORARIES: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

fn temporaries() -> MutexGuard<'static, Vec<PathBuf>> {
    TEMPORARIES.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file that is removed unless it is renamed.
struct Temporary(NamedTempFile);

impl Temporary {
    /// A new file in the folder of another, with an unpredictable, short name.
    fn beside(path: &Path) -> io::Result<Self> {
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or(Path::new("."));
        let mut builder = Builder::new();
        builder.prefix(".pianola-").suffix(".part");
        #[cfg(unix)]
        builder
            .permissions(<fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o666));
        // A signal must not come between the file and its place in the list.
        let mut temporaries = temporaries();
        let file = builder.tempfile_in(folder)?;
        temporaries.push(file.path().into());
        Ok(Self(file))
    }

    fn fill(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let file = self.0.as_file_mut();
        write(file)?;
        file.sync_all()
    }

    /// Sets the owner and mode to those of another file. Returns whether it succeeded.
    fn resembles(&self, other: &Metadata) -> bool {
        let file = self.0.as_file();
        #[cfg(unix)]
        {
            use std::os::unix::fs::{MetadataExt, fchown};
            let Ok(mine) = file.metadata() else { return false };
            let same = (mine.uid(), mine.gid()) == (other.uid(), other.gid());
            if !same && fchown(file, Some(other.uid()), Some(other.gid())).is_err() {
                return false;
            }
        }
        file.set_permissions(other.permissions()).is_ok()
    }

    fn rename(self, path: &Path) -> io::Result<()> {
        let mut temporaries = temporaries();
        let name = self.0.path().to_path_buf();
        let renamed = self.0.persist(path);
        temporaries.retain(|temporary| *temporary != name);
        match renamed {
            Ok(_) => Ok(()),
            Err(failed) => Err(failed.error),
        }
    }
}
