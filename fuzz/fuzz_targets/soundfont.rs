//! A SoundFont with any content is refused before it allocates more memory than its size.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let _ = pianola_tools::fuzzing::soundfont(data);
});
