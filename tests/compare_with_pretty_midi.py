"""Holds Pianola's reading of MIDI files against pretty_midi's, note by note.

    pip install pretty_midi
    cargo run --release -p pianola-tests --example dump_notes FOLDER \
        | python3 tests/compare_with_pretty_midi.py

Exits with 1 and names the first difference of each file that differs.
"""

import sys
import warnings
from collections import defaultdict
from multiprocessing import Pool

import pretty_midi


def expected(path):
    """The notes of a file as pretty_midi has them, in the orders Pianola promises."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        instruments = pretty_midi.PrettyMIDI(path).instruments
    def row(note):
        return (note.pitch, note.velocity, note.start, note.end)
    # Percussion is no hand, so it is never the first instrument.
    hands = [each for each in instruments if not each.is_drum]
    first = sorted(map(row, hands[0].notes), key=lambda note: note[2])
    both = [row(note) for each in hands for note in each.notes]
    return {"first": first, "all": sorted(both, key=lambda note: (note[2], note[0]))}


def same(ours, theirs):
    return ours[:2] == theirs[:2] and all(abs(a - b) < 1e-6 for a, b in zip(ours[2:], theirs[2:]))


def compare(item):
    path, ours = item
    theirs = expected(path)
    differences = []
    # Simultaneous notes of one pitch have no order between instruments: compare them sorted.
    def key(note):
        return (round(note[2], 6), *note[:2], round(note[3], 6))
    for tracks in ("first", "all"):
        a, b = ours[tracks], theirs[tracks]
        if tracks == "all":
            a, b = sorted(a, key=key), sorted(b, key=key)
        if len(a) != len(b):
            differences.append(f"{path}, {tracks}: {len(a)} notes, pretty_midi has {len(b)}")
            continue
        for index, (one, other) in enumerate(zip(a, b)):
            if not same(one, other):
                differences.append(f"{path}, {tracks}, note {index}: {one}, pretty_midi {other}")
                break
    return len(theirs["first"]), len(theirs["all"]), differences


def main():
    files = defaultdict(lambda: {"first": [], "all": []})
    for line in sys.stdin:
        path, tracks, pitch, velocity, start, end = line.rstrip("\n").split("\t")
        files[path][tracks].append((int(pitch), int(velocity), float(start), float(end)))
    if not files:
        sys.exit("no notes on standard input")
    with Pool() as pool:
        results = pool.map(compare, [(path, dict(ours)) for path, ours in files.items()])
    differences = [line for *_, lines in results for line in lines]
    print("\n".join(differences), end="\n" if differences else "")
    first, both = (sum(result[index] for result in results) for index in (0, 1))
    print(f"{len(files)} files: {first} notes of first instruments, {both} of all;", end=" ")
    print(f"{len(differences)} differences")
    sys.exit(1 if differences else 0)


if __name__ == "__main__":
    main()
