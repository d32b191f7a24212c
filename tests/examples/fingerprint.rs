//! Prints the fingerprint of the boards' script, as this machine computes it.

use anyhow::Context;
use pianola_tests::script::fingerprint;

fn main() -> anyhow::Result<()> {
    let path = std::env::args().nth(1).context("usage: fingerprint MODEL")?;
    let file = std::fs::read(&path).with_context(|| path.clone())?;
    println!("crc32 {:08x}", fingerprint(&file)?);
    Ok(())
}
