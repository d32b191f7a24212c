#!/usr/bin/env python3
"""Times Pianola and its peers on the very same model, a note at a time. See README.md here."""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from engines import PEERS, Pianola, Unavailable
from plot import bars
from weights import write_random

# Largest difference of two fp32 engines that is rounding and not another model.
TOLERANCE = 1e-3
WARM, NOTES = 50, 400
# Lets the threads of the engine before fall asleep.
PAUSE = 0.1


@dataclass
class Entry:
    """An engine at a precision: a row of the table."""

    engine: object
    precision: str
    workers: dict = field(default_factory=dict)
    error: float | None = None
    unavailable: str = ""
    version: str = ""
    # Number of threads to microseconds: a list per round.
    rounds: dict = field(default_factory=dict)

    @property
    def name(self):
        return f"{self.engine.name} {self.precision}"

    def attempt(self, action, *arguments):
        """Does something with this engine, or notes why it cannot take part."""
        if self.unavailable:
            return None
        try:
            return action(*arguments)
        except Unavailable as reason:
            self.unavailable = str(reason)
            self.close()
            print(f"{self.name}: {reason}", file=sys.stderr)

    def start(self, threads):
        self.workers[threads] = worker = self.engine.start(self.precision, threads)
        self.version = worker.version

    def time(self, threads):
        self.rounds.setdefault(threads, []).append(self.workers[threads].time(WARM, NOTES))

    def microseconds(self, threads):
        """The median round, each by its median note."""
        if self.unavailable or threads not in self.rounds:
            return None
        return median(map(median, self.rounds[threads]))

    def settings(self):
        return ", ".join(sorted({worker.setting for worker in self.workers.values()} - {""}))

    def close(self):
        for worker in self.workers.values():
            worker.close()


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="float weights [default: random ones]")
    parser.add_argument("--threads", type=int, default=2, help="besides one [default: 2]")
    parser.add_argument("--rounds", type=int, default=8, help="bursts of each engine [default: 8]")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--only", help="engines to run besides Pianola, such as `litert,rten`")
    parser.add_argument("--json", type=Path, help="file to write with every number measured")
    parser.add_argument("--plot", type=Path, help="bar chart to write, an .svg file")
    return parser.parse_args()


def main():
    chosen = options()
    if chosen.weights and not chosen.weights.is_file():
        sys.exit(f"error: {chosen.weights} is not a file")
    threads = sorted({1, chosen.threads})
    with tempfile.TemporaryDirectory(prefix="pianola-peers-") as folder:
        folder = Path(folder)
        weights = chosen.weights and chosen.weights.absolute()
        if not weights:
            weights = folder / "weights.safetensors"
            write_random(weights)
        entries = begin(weights, folder, threads, chosen.only)
        try:
            compare(entries)
            measure(entries, threads, 2 if chosen.quick else chosen.rounds)
        finally:
            for entry in entries:
                entry.close()
    print(table(entries, threads))
    if chosen.json:
        result = {"machine": machine(), "notes": NOTES, "engines": [record(e) for e in entries]}
        chosen.json.write_text(json.dumps(result, indent=1) + "\n")
    if chosen.plot:
        named = [(e.name, e.microseconds(1), e.engine.name == "Pianola") for e in entries]
        title = "Microseconds per note, one thread"
        chosen.plot.write_text(bars(title, machine()["cpu"], [bar for bar in named if bar[1]]))


def begin(weights, folder, threads, only):
    """Prepares every engine and starts its workers."""
    wanted = None if only is None else {re.sub(r"\W", "", name).lower() for name in only.split(",")}
    entries = []
    for engine in (make() for make in PEERS):
        name = re.sub(r"\W", "", engine.name).lower()
        if wanted is not None and not isinstance(engine, Pianola) and name not in wanted:
            continue
        rows = [Entry(engine, precision) for precision in engine.precisions]
        rows[0].attempt(engine.prepare, weights, folder)
        for row in rows:
            row.unavailable = row.unavailable or rows[0].unavailable
        for row in rows:
            for count in threads:
                row.attempt(row.start, count)
        entries += rows
    return entries


def compare(entries):
    """Holds every engine's predictions against those of Pianola's floats."""
    ours = next(e for e in entries if e.name == "Pianola fp32")
    expected = ours.attempt(lambda: ours.workers[1].predictions())
    if expected is None:
        sys.exit("error: without Pianola's own predictions there is nothing to compare with")
    for entry in entries:
        said = entry.attempt(lambda: entry.workers[1].predictions())
        if said is None:
            continue
        pairs = (pair for rows in zip(said, expected, strict=True) for pair in zip(*rows, strict=True))
        # Not a number compares as neither smaller nor larger.
        entry.error = max(abs(a - b) if a == a else float("inf") for a, b in pairs)
        if entry.precision == "fp32" and entry.error > TOLERANCE:
            sys.exit(
                f"error: {entry.name} is not the same model: it differs by {entry.error:.2g}, "
                f"and rounding explains {TOLERANCE:g}"
            )


def measure(entries, threads, rounds):
    """Bursts in turn; each round begins one further on, so that none always follows another."""
    bursts = [(entry, count) for entry in entries for count in threads]
    for at in range(rounds):
        print(f"round {at + 1} of {rounds}", file=sys.stderr)
        for entry, count in bursts[at % len(bursts) :] + bursts[: at % len(bursts)]:
            time.sleep(PAUSE)
            entry.attempt(entry.time, count)


def table(entries, threads):
    """The result in Markdown, fastest first."""
    plural = lambda count: f"{count} thread{'s' * (count > 1)}"
    ours = {e.precision: e for e in entries if e.engine.name == "Pianola"}
    titles = ["engine", "precision", *map(plural, threads)]
    titles += ["× Pianola int8", "× Pianola int4", "largest error"]
    rows = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 2)]
    number = lambda value, form: "–" if value is None else format(value, form)

    def ratio(entry, base):
        pairs = [(entry.microseconds(n), base.microseconds(n)) for n in threads]
        return " / ".join(number(a and b and a / b, ".2f") for a, b in pairs)

    measured = [e for e in entries if e.microseconds(1)]
    for entry in sorted(measured, key=lambda e: e.microseconds(1)):
        name = f"{entry.engine.name} {entry.version}"
        if setting := entry.settings():
            name += f" ({setting})"
        times = [number(entry.microseconds(count), ",.0f") for count in threads]
        ratios = [ratio(entry, ours[precision]) for precision in ("int8", "int4")]
        rows.append([name, entry.precision, *times, *ratios, f"{entry.error:.1g}"])
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines += [""] + [f"{e.name}: {e.unavailable}" for e in entries if e.unavailable]
    counts = " / ".join(map(str, threads))
    about = f"Microseconds per note; ratios with {counts} threads. {describe(machine())}"
    return "\n".join([about, "", *lines]).rstrip()


def record(entry):
    return {
        "engine": entry.engine.name,
        "precision": entry.precision,
        "version": entry.version,
        "settings": entry.settings(),
        "unavailable": entry.unavailable,
        "largest_error": entry.error,
        "microseconds": {count: entry.microseconds(count) for count in entry.rounds},
        "rounds": entry.rounds,
    }


def machine():
    """What the numbers depend on."""
    cpu, extensions = platform.processor() or platform.machine(), []
    if (info := Path("/proc/cpuinfo")).exists():
        text = info.read_text()
        if model := re.search(r"model name\s*:\s*(.*)", text):
            cpu = model[1]
        if flags := re.search(r"flags\s*:\s*(.*)", text):
            known = ("avx2", "avx_vnni", "avx512f", "avx512_vnni")
            extensions = [flag for flag in flags[1].split() if flag in known]
    return {
        "cpu": cpu,
        "extensions": extensions,
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def describe(machine):
    extensions = f" ({', '.join(machine['extensions'])})" if machine["extensions"] else ""
    return f"{machine['cpu']}{extensions}, {machine['cores']} cores, {machine['system']}."


if __name__ == "__main__":
    main()
