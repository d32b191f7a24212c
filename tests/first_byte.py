"""How long a command takes from its start to the first MIDI byte that it writes to a serial line, and
to the first note: python3 tests/first_byte.py pianola play --serial {}

The line is a pseudo-terminal, whose name stands for {}; it takes bytes as fast as they come. Medians of
five starts, in milliseconds."""

import os
import pty
import select
import statistics
import subprocess
import sys
import time
import tty

STARTS = 5


def measure(command):
    """Milliseconds to the first byte and to the first note-on."""
    ours, theirs = pty.openpty()
    tty.setraw(theirs)
    line = os.ttyname(theirs)
    start = time.monotonic()
    playing = subprocess.Popen(
        [word.replace("{}", line) for word in command],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    first = None
    try:
        while playing.poll() is None:
            if not select.select([ours], [], [], 0.1)[0]:
                continue
            sent = os.read(ours, 4096)
            now = 1000 * (time.monotonic() - start)
            first = first or now
            if any(byte & 0xf0 == 0x90 for byte in sent):
                return first, now
        sys.exit(f"it ended without a note: {playing.communicate()[1].strip()}")
    finally:
        playing.terminate()
        playing.wait()
        os.close(ours)
        os.close(theirs)


if len(sys.argv) < 2 or not any("{}" in word for word in sys.argv):
    sys.exit(__doc__)
measured = [measure(sys.argv[1:]) for _ in range(STARTS)]
byte, note = (statistics.median(times) for times in zip(*measured))
print(f"first byte after {byte:.0f} ms, first note after {note:.0f} ms")
