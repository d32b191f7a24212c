//! Files to be written: what is wrong with their names is said before anything is made for them.

use std::path::Path;

use anyhow::{Context, ensure};
use pianola_host::files::write_whole;
use pianola_picture::canvas::Picture;

/// Refuses what cannot be written: a folder, a file in a folder that is not there, and one whose name ends
/// in none of `endings`, if there are any. Returns the ending, in lower case.
pub fn ensure_writable(out: &Path, endings: &[&str]) -> anyhow::Result<String> {
    let name = out.display();
    let kinds: Vec<String> = endings.iter().map(|ending| format!(".{ending}")).collect();
    let kinds = kinds.join(" or ");
    let a_file = if endings.is_empty() { "a file".into() } else { format!("a {kinds} file") };
    ensure!(!out.is_dir(), "{name} is a folder: name {a_file} in it");
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        anyhow::bail!("cannot write {name}: there is no folder {}", folder.display());
    }
    let ending = out.extension().unwrap_or_default().to_ascii_lowercase();
    let ending = ending.to_string_lossy().into_owned();
    let known = endings.is_empty() || endings.contains(&ending.as_str());
    ensure!(known, "cannot write {name}: let its name end in {kinds}");
    Ok(ending)
}

/// Refuses to write over what is being read.
pub fn ensure_apart(out: &Path, input: &Path) -> anyhow::Result<()> {
    let same =
        matches!((out.canonicalize(), input.canonicalize()), (Ok(out), Ok(input)) if out == input);
    ensure!(!same, "{} would be overwritten: name another file", input.display());
    Ok(())
}

/// Writes a picture as PNG or, if its name ends in `.svg`, as SVG with a title.
pub fn write_picture(out: &Path, picture: &Picture, title: &str) -> anyhow::Result<()> {
    let svg = out.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("svg"));
    let bytes = picture.encode(if svg { "svg" } else { "png" }, title)?;
    write_whole(out, &bytes).with_context(|| format!("cannot write {}", out.display()))
}
