#!/usr/bin/env python3
"""Times Pianola and its peers on one model, a note at a time. See README.md here."""

import argparse
import json
import os
import platform
import re
import sys
import tempfile
import time
from itertools import chain, product
from pathlib import Path
from statistics import median

from engines import PEERS, Unavailable
from plot import bars
from weights import write_random

OURS = PEERS[0].name
# Largest difference of two fp32 engines that is rounding and not another model.
TOLERANCE = 1e-3
WARM, NOTES = 50, 400
# Lets the threads of the engine before fall asleep.
PAUSE = 0.1


class Entry:
    """An engine at a precision: a row of the table."""

    def __init__(self, engine, precision, threads):
        self.engine, self.precision, self.threads = engine, precision, threads
        self.name = f"{engine.name} {precision}"
        self.error, self.version, self.settings = None, "", {}
        # By number of threads: the worker, why there is none, and the microseconds of each round.
        self.workers, self.missing, self.rounds = {}, {}, {}

    def attempt(self, action, threads):
        """Calls an action with a number of threads; records the reason if it is unavailable."""
        if threads in self.missing:
            return None
        try:
            return action(threads)
        except Unavailable as reason:
            self.miss(threads, str(reason))

    def miss(self, threads, reason):
        self.missing[threads] = reason
        print(f"{self.name}, {plural(threads)}: {reason}", file=sys.stderr)
        if worker := self.workers.pop(threads, None):
            worker.close()

    def start(self, threads):
        self.workers[threads] = worker = self.engine.start(self.precision, threads)
        self.version, self.settings[threads] = worker.version, worker.setting

    def predictions(self, threads):
        return self.workers[threads].predictions()

    def time(self, threads):
        self.rounds.setdefault(threads, []).append(self.workers[threads].time(WARM, NOTES))

    def microseconds(self, threads):
        """The median round, each by its median note."""
        if threads in self.missing or threads not in self.rounds:
            return None
        return median(map(median, self.rounds[threads]))

    def title(self):
        settings = ", ".join(sorted({*self.settings.values()} - {""}))
        return f"{self.engine.name} {self.version}" + (f" ({settings})" if settings else "")

    def reasons(self):
        """Why something is missing: a line each."""
        threads = {}
        for count, reason in self.missing.items():
            threads.setdefault(reason, []).append(count)
        for reason, counts in threads.items():
            few = f", {' and '.join(map(plural, counts))}" if len(counts) < len(self.threads) else ""
            yield f"{self.name}{few}: {reason}"

    def close(self):
        for worker in self.workers.values():
            worker.close()


def plural(threads):
    return f"{threads} thread{'s' * (threads > 1)}"


def options():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="float weights [default: random ones]")
    parser.add_argument("--threads", type=int, default=2, help="second thread count to measure [default: 2]")
    parser.add_argument("--rounds", type=int, default=8, help="bursts of each engine [default: 8]")
    parser.add_argument("--quick", action="store_true", help="two rounds")
    parser.add_argument("--only", help="engines to run beside Pianola, such as `litert,rten`")
    parser.add_argument("--json", type=Path, help="JSON file for all measurements")
    parser.add_argument("--plot", type=Path, help="SVG file for a bar chart")
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
        chosen.plot.write_text(chart(entries))


def begin(weights, folder, threads, only):
    """Prepares every engine and starts its workers."""
    plain = lambda name: re.sub(r"\W", "", name).lower()
    wanted = None if only is None else {plain(name) for name in only.split(",")}
    known = {plain(peer.name) for peer in PEERS}
    if strange := (wanted or set()) - known:
        sys.exit(f"error: no engine is called {strange.pop()}; there are {', '.join(sorted(known))}")
    entries = []
    for engine in (make() for make in PEERS):
        if wanted is not None and engine.name != OURS and plain(engine.name) not in wanted:
            continue
        rows = [Entry(engine, precision, threads) for precision in engine.precisions]
        entries += rows
        try:
            engine.prepare(weights, folder)
        except Unavailable as reason:
            for row, count in product(rows, threads):
                row.miss(count, str(reason))
        for row, count in product(rows, threads):
            row.attempt(row.start, count)
    return entries


def compare(entries):
    """Compares the predictions of every engine with those of Pianola in floats."""
    expected = entries[0].attempt(entries[0].predictions, 1)
    if expected is None:
        sys.exit("error: without Pianola's own predictions there is nothing to compare with")
    for entry in entries:
        said = entry.attempt(entry.predictions, 1)
        if said is None:
            continue
        pairs = zip(chain(*said), chain(*expected), strict=True)
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
    ours = {entry.precision: entry for entry in entries if entry.engine.name == OURS}
    titles = ["engine", "precision", *map(plural, threads)]
    titles += ["× Pianola int8", "× Pianola int4", "largest error"]
    rows = [titles, ["---"] * 2 + ["---:"] * (len(titles) - 2)]
    number = lambda value, form: "–" if value is None else format(value, form)

    def ratio(entry, base):
        pairs = ((entry.microseconds(count), base.microseconds(count)) for count in threads)
        return " / ".join(number(a and b and a / b, ".2f") for a, b in pairs)

    for entry in ranked(entries):
        times = [number(entry.microseconds(count), ",.0f") for count in threads]
        ratios = [ratio(entry, ours[precision]) for precision in ("int8", "int4")]
        rows.append([entry.title(), entry.precision, *times, *ratios, number(entry.error, ".1g")])
    counts = " / ".join(map(str, threads))
    about = f"Microseconds per note; ratios with {counts} threads. {describe(machine())}"
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    reasons = [reason for entry in entries for reason in entry.reasons()]
    return "\n".join([about, "", *lines, "", *reasons]).rstrip()


def ranked(entries):
    """Those measured with one thread, fastest first."""
    measured = [entry for entry in entries if entry.microseconds(1)]
    return sorted(measured, key=lambda entry: entry.microseconds(1))


def chart(entries):
    named = [(e.name, e.microseconds(1), e.engine.name == OURS) for e in ranked(entries)]
    return bars("Microseconds per note, one thread", machine()["cpu"], named)


def record(entry):
    return {
        "engine": entry.engine.name,
        "precision": entry.precision,
        "version": entry.version,
        "settings": entry.settings,
        "missing": entry.missing,
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
