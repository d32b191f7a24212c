//! The tables of docs/architecture.md against the repository: every folder with Rust sources, what crates depend on,
//! and which rooms of `tools` use which. Also the links of all Markdown files.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use pianola_tests::{circle, root, succeed};
use serde_json::Value;

/// Cells of a Markdown table's rows, verbatim.
type Rows = Vec<Vec<String>>;

/// The two tables of the section "Rooms": crates, then folders.
fn tables() -> [Rows; 2] {
    let text = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let section = text.split("\n## ").find(|section| section.starts_with("Rooms\n")).unwrap();
    let mut tables: Vec<Rows> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        let row = line.strip_prefix("| ");
        match row {
            Some(_) if !inside => tables.push(Vec::new()), // the row of headings
            Some(row) => {
                let cells = row.trim_end().trim_end_matches('|').split(" | ");
                tables.last_mut().unwrap().push(cells.map(|cell| cell.trim().into()).collect());
            }
            None => {}
        }
        inside = line.starts_with('|');
    }
    tables.try_into().unwrap()
}

/// The names in backticks in a cell, without a trailing slash.
fn names(cell: &str) -> BTreeSet<String> {
    cell.split('`').skip(1).step_by(2).map(|name| name.trim_end_matches('/').into()).collect()
}

/// The folder of a row.
fn folder(row: &[String]) -> String {
    names(&row[0]).pop_first().unwrap()
}

/// All files below a folder with an extension, without build outputs.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        if entry.file_type().unwrap().is_dir() {
            if !name.starts_with('.') && name != "target" && name != "runs" {
                found.extend(files(&path, extension));
            }
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found
}

/// The packages of the workspace, by folder: name, and the workspace's packages that it depends on.
fn packages() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root());
    let metadata: Value = serde_json::from_str(&succeed(&mut command)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_string();
    let ours: BTreeSet<String> = packages.iter().map(|package| text(&package["name"])).collect();
    let one = |package: &Value| {
        let manifest = PathBuf::from(text(&package["manifest_path"]));
        let folder = manifest.parent().unwrap().strip_prefix(root()).unwrap();
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        // Dev-dependencies do not count: a crate's tests may use other crates.
        let built = dependencies.filter(|dependency| dependency["kind"] != "dev");
        let names = built.map(|dependency| text(&dependency["name"]));
        let names = names.filter(|name| ours.contains(name)).collect();
        (folder.to_string_lossy().into_owned(), (text(&package["name"]), names))
    };
    packages.iter().map(one).collect()
}

#[test]
fn crates_depend_on_what_the_table_says() {
    let [crates, _] = tables();
    let listed: BTreeMap<_, _> = crates
        .iter()
        .map(|row| (folder(row), (names(&row[1]).pop_first().unwrap(), names(&row[3]))))
        .collect();
    assert_eq!(listed, packages());
}

#[test]
fn every_folder_with_sources_is_in_the_table() {
    let [crates, rooms] = tables();
    let listed: BTreeSet<String> = rooms.iter().map(|row| folder(row)).collect();
    let mut found = BTreeSet::new();
    for row in crates {
        for file in files(&root().join(folder(&row)), "rs") {
            let folder = file.parent().unwrap().strip_prefix(root()).unwrap();
            if file.file_name().unwrap() != "build.rs" {
                found.insert(folder.to_string_lossy().into_owned());
            }
        }
    }
    assert_eq!(listed, found);
}

/// The rooms of `tools` that a room's sources refer to as `crate::ROOM`.
fn used(room: &str, rooms: &BTreeSet<String>) -> BTreeSet<String> {
    let sources = files(&root().join("tools/src").join(room), "rs");
    let mut used = BTreeSet::new();
    for source in sources {
        let text = fs::read_to_string(source).unwrap();
        for path in text.split("crate::").skip(1) {
            let name: String =
                path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            // `use crate::{a, b::c}`
            let group = path.strip_prefix('{').and_then(|group| group.split('}').next());
            let group = group.unwrap_or_default().split(',').map(str::trim);
            let grouped = group.filter_map(|path| path.split("::").next()).map(String::from);
            used.extend(grouped.chain([name]).filter(|name| rooms.contains(name) && name != room));
        }
    }
    used
}

#[test]
fn rooms_of_tools_use_what_the_table_says_and_form_no_circle() {
    let [_, rows] = tables();
    let open: BTreeMap<String, BTreeSet<String>> = rows
        .iter()
        .filter_map(|row| {
            Some((folder(row).strip_prefix("tools/src/")?.to_string(), names(&row[2])))
        })
        .collect();
    let rooms: BTreeSet<String> = open.keys().cloned().collect();
    assert!(rooms.contains("commands"));
    for (room, allowed) in &open {
        let used = used(room, &rooms);
        assert!(used.is_subset(allowed), "tools/src/{room} uses {used:?}, not only {allowed:?}");
    }
    assert_eq!(circle(open), None, "a circle of rooms");
}

#[test]
fn links_between_documents_lead_somewhere() {
    let mut links = 0;
    for document in files(&root(), "md") {
        let text = fs::read_to_string(&document).unwrap();
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if link.contains("://") || link.starts_with("mailto:") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() {
                document.clone()
            } else {
                document.parent().unwrap().join(path)
            };
            assert!(target.exists(), "{}: no {link}", document.display());
            if !anchor.is_empty() {
                let text = fs::read_to_string(&target).unwrap();
                assert!(anchors(&text).contains(anchor), "{}: no {link}", document.display());
            }
            links += 1;
        }
    }
    assert!(links > 30, "only {links} links");
}

/// Anchors of a document's headings, as code hosts generate them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter(|line| line.starts_with('#'));
    let anchor = |heading: &str| {
        let heading = heading.trim_start_matches('#').trim().to_lowercase();
        let kept = heading.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}
