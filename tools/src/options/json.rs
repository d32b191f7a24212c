//! What `--json` prints; docs/json.md names the keys.

use anyhow::Context;
use serde::Serialize;

/// A report as JSON, in lines.
pub fn print(report: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    Ok(json + "\n")
}
