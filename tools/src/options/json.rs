//! JSON output; docs/json.md documents the keys.

use anyhow::Context;
use serde::Serialize;

/// A report as pretty-printed JSON.
pub fn print(report: &impl Serialize) -> anyhow::Result<String> {
    let json = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    Ok(json + "\n")
}
