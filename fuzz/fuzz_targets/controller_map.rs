//! A controller map with any content is parsed, or refused in one line.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = pianola_tools::fuzzing::controller_map(text) {
        let said = error.to_string();
        assert!(!said.is_empty() && !said.contains(char::is_control), "{said:?}");
    }
});
