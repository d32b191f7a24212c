//! JSON output; docs/json.md documents the keys.

use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;

/// Refuses a path that JSON, which is Unicode, cannot name.
pub fn ensure_text(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    ensure!(
        path.to_str().is_some(),
        "--json cannot name {name}: its name is not valid Unicode; rename it"
    );
    Ok(())
}

/// A report as pretty-printed JSON.
pub fn print(report: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    Ok(json + "\n")
}
