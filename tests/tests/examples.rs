//! docs/examples: the commands of its README compose the pieces beside it, byte for byte.
#![allow(clippy::unwrap_used)]

use std::fs;

use pianola_tests::{pianola, root, succeed};
use tempfile::tempdir;

#[test]
fn the_examples_are_composed_byte_for_byte() {
    let (folder, examples) = (tempdir().unwrap(), root().join("docs/examples"));
    let text = fs::read_to_string(examples.join("README.md")).unwrap();
    // Such as | [a.mid](a.mid) ([roll](a.png)) | `--seed 1 --notes 600` |
    let rows = text.lines().filter_map(|line| line.strip_prefix("| [")?.split_once(']'));
    let mut composed = Vec::new();
    for (name, row) in rows {
        let options = row.split('`').nth(1).unwrap();
        let out = folder.path().join(name);
        let mut command = pianola();
        command.arg("generate").args(options.split(' ')).arg("--out").arg(&out);
        succeed(command.current_dir(root()));
        let same = fs::read(out).unwrap() == fs::read(examples.join(name)).unwrap();
        assert!(same, "{name}: generate {options} composes another file");
        composed.push(name.to_string());
    }
    let files = fs::read_dir(examples).unwrap().map(|file| file.unwrap().file_name());
    let mut files: Vec<String> = files.map(|name| name.into_string().unwrap()).collect();
    files.retain(|name| name.ends_with(".mid"));
    composed.sort();
    files.sort();
    assert_eq!(composed, files);
}
