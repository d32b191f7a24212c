//! A MIDI stream with any content parses to messages, and each round-trips through its bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use pianola_runtime::MidiParser;

fuzz_target!(|data: &[u8]| {
    let mut parser = MidiParser::default();
    for message in data.iter().filter_map(|&byte| parser.feed(byte)) {
        let mut again = MidiParser::default();
        let bytes = message.bytes();
        let read = bytes.from(0).iter().filter_map(|&byte| again.feed(byte)).last();
        assert_eq!(read, Some(message));
    }
});
