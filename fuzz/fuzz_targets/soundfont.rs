//! A SoundFont with any content is refused, or a chord is played on it; libFuzzer limits memory and time.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = pianola_tools::fuzzing::soundfont(data);
});
