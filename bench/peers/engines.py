"""The engines: how each is installed, given the model, and asked for notes."""

import json
import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# The notes on which engines are compared: pitch, step, duration.
NOTES = [(21 + at * 31 % 88, at % 7 / 10, at % 11 / 10) for at in range(64)]


class Unavailable(Exception):
    """Why an engine cannot take part, in one line."""


def cache():
    """Where fetched and built things are kept, as `cargo xtask` keeps them."""
    if folder := os.environ.get("PIANOLA_CACHE"):
        return Path(folder, "peers").absolute()
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "pianola", "peers")


def call(command, what, lines=None):
    """Runs a command to its end and returns what it printed."""
    try:
        done = subprocess.run(
            list(map(str, command)), cwd=ROOT, input=lines, capture_output=True, text=True
        )
    except OSError as error:
        raise Unavailable(f"{what}: {error}") from None
    if done.returncode:
        said = [line.strip() for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if line.lower().startswith("error")]
        raise Unavailable(f"{what}: {(errors[:1] or said[-1:] or ['failed without a word'])[0]}")
    return done.stdout


def environment(name):
    """The Python of a virtual environment with `requirements/NAME.txt` installed."""
    folder = cache() / name
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    requirements = HERE / "requirements" / f"{name}.txt"
    wanted = f"{sys.version}\n{requirements.read_text()}"
    installed = folder / "installed.txt"
    if not installed.exists() or installed.read_text() != wanted:
        print(f"installing {name} …", file=sys.stderr)
        call([sys.executable, "-m", "venv", "--clear", folder], f"no environment for {name}")
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call([*pip, "--requirement", requirements], "pip")
        installed.write_text(wanted)
    return python


class Worker:
    """A process that answers lines with lines of JSON; `worker.py` says which."""

    def __init__(self, command):
        pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        command = list(map(str, command))
        try:
            self.process = subprocess.Popen(command, cwd=ROOT, text=True, bufsize=1, **pipes)
        except OSError as error:
            raise Unavailable(str(error)) from None
        hello = self.answer()
        if "error" in hello:
            raise Unavailable(hello["error"])
        self.version, self.setting = hello["version"], hello["setting"]

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise Unavailable(f"its worker ended with status {self.process.wait()}")
        return json.loads(line)

    def ask(self, *words):
        try:
            print(*words, file=self.process.stdin, flush=True)
        except BrokenPipeError:
            pass  # `answer` tells
        return self.answer()

    def predictions(self):
        self.ask("restart")
        return [self.ask("observe", *note) for note in NOTES]

    def time(self, warm, notes):
        """Microseconds of each note."""
        return [nanoseconds / 1000 for nanoseconds in self.ask("time", warm, notes)]

    def close(self):
        self.process.kill()
        self.process.wait()


class Peer:
    """An engine. Subclasses say how to begin."""

    name: str
    precisions: list

    def prepare(self, weights, folder):
        """Installs what is needed and writes model files into `folder`."""

    def start(self, precision, threads):
        return Worker([*self.command, self.model(precision), threads])


class PythonPeer(Peer):
    """A peer with a worker in Python, and perhaps a script that writes its model files."""

    def prepare(self, weights, folder):
        python = environment(self.environment)
        if self.graph:
            call([python, HERE / self.graph, weights, folder], "its model file")
        self.weights, self.folder = weights, folder
        self.command = [python, HERE / self.worker]


class LiteRt(PythonPeer):
    name, precisions = "LiteRT", ["fp32", "int8", "int4", "int4-rows"]
    environment, graph, worker = "litert", "litert_graph.py", "litert_worker.py"

    def model(self, precision):
        return self.folder / f"{precision}.tflite"


class OnnxRuntime(PythonPeer):
    name, precisions = "ONNX Runtime", ["fp32", "int8", "int4"]
    environment, graph, worker = "onnxruntime", "onnx_graph.py", "onnxruntime_worker.py"

    def model(self, precision):
        return self.folder / f"{precision}.onnx"


class PyTorch(PythonPeer):
    name, precisions = "PyTorch", ["fp32"]
    environment, graph, worker = "pytorch", None, "pytorch_worker.py"

    def model(self, precision):
        return self.weights


class Rten(Peer):
    """Reads the ONNX files, which ONNX Runtime's environment writes."""

    name, precisions = "rten", ["fp32", "int8"]

    def prepare(self, weights, folder):
        self.folder = folder
        python = environment("onnxruntime")
        call([python, HERE / "onnx_graph.py", weights, folder], "its model file")
        print("building rten …", file=sys.stderr)
        target = cache() / "rten"
        build = ["cargo", "build", "--quiet", "--release", "--locked", "--target-dir", target]
        call([*build, "--manifest-path", HERE / "rten/Cargo.toml"], "cargo")
        self.command = [target / "release/rten-worker"]

    def model(self, precision):
        return self.folder / f"{precision}.onnx"


class Pianola(Peer):
    """This repository. Each timed burst is a process of its own: it has nothing to load."""

    name, precisions = "Pianola", ["fp32", "int8", "int4"]

    def prepare(self, weights, folder):
        print("building Pianola …", file=sys.stderr)
        build = ["cargo", "build", "--quiet", "--release"]
        call([*build, "-p", "pianola-tools"], "cargo")
        call([*build, "-p", "pianola-tests", "--example", "predictions"], "cargo")
        self.weights, self.folder = weights, folder
        target = Path(os.environ.get("CARGO_TARGET_DIR", "target"), "release")
        self.pianola, self.predictor = target / "pianola", target / "examples/predictions"

    def start(self, precision, threads):
        model = self.folder / f"{precision}.pianola.safetensors"
        if not model.exists():
            quantize = "none" if precision == "fp32" else precision
            export = [self.pianola, "export", self.weights, "--quantize", quantize, "--out", model]
            call(export, "export")
        return PianolaModel(self, model, threads)


class PianolaModel:
    """A model file of Pianola's, asked like a worker."""

    setting = ""

    def __init__(self, engine, model, threads):
        self.engine, self.model, self.threads = engine, model, threads
        self.version = call([engine.pianola, "--version"], "pianola").split()[-1]

    def predictions(self):
        lines = "".join(f"{pitch} {step} {duration}\n" for pitch, step, duration in NOTES)
        printed = call([self.engine.predictor, self.model], "predictions", lines)
        return [json.loads(line) for line in printed.splitlines()][1:]

    def time(self, warm, notes):
        """The median alone: `pianola bench` warms up by itself and keeps its notes to itself."""
        bench = [self.engine.pianola, "bench", "--model", self.model, "--notes", notes]
        printed = call([*bench, "--threads", self.threads, "--json"], "pianola bench")
        return [json.loads(printed)["microseconds"]["median"]]

    def close(self):
        pass


PEERS = [Pianola, LiteRt, OnnxRuntime, Rten, PyTorch]
