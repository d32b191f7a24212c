"""Makes expressive-small.safetensors: the expressive network in PyTorch, small, with what it says.

    pip install torch==2.11.0 safetensors numpy
    python3 tests/golden/make_expressive.py

The file is the model's own state dict plus the notes fed (`golden.*`) and, before each of them, what
every head says of it: where they are a piece for both hands, and where they are one for the right. Bins and features are written here from their description in
`runtime/src/vocabulary.rs` and `history.rs`, with a note's times as 32-bit floats.
"""

from math import floor, log2
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

PARTS = ("step", "pitch", "duration", "velocity")
TIMES, VELOCITIES, AGES, BOS, RIGHT_HAND, NOTES = 89, 32, 9, 128, 129, 96
HEARD = (TIMES, 130, TIMES, VELOCITIES)
CHOICES = (TIMES, 128, TIMES, VELOCITIES)
FEATURES = (3 * TIMES, TIMES + 128 + (AGES + 1) * 128, 3 * TIMES + 128, 2 * TIMES + 128 + VELOCITIES)
LAYERS, HIDDEN, EMBEDDING, HEAD_HIDDEN = 2, 32, (5, 10, 6, 3), (9, 16, 7, 5)


def time_bin(seconds):
    """Eight bins an octave from 1/128 s, by the linear fraction of the octave; 0 below."""
    if seconds < 1 / 128:
        return 0
    octave = floor(log2(seconds))
    return min(1 + 8 * (octave + 7) + floor(8 * (seconds / 2.0**octave - 1)), TIMES - 1)


def age_class(age):
    return 0 if age <= 0 else 1 + sum(age >= limit for limit in (0.125, 0.25, 0.5, 1, 2, 4, 8))


def bins(note):
    pitch, velocity, step, duration = note
    return time_bin(step), pitch, time_bin(duration), velocity // 4


class History:
    def __init__(self):
        self.age = np.full(128, np.inf, np.float32)
        self.rest = np.zeros(128, np.float32)
        self.last = (0, 0, np.float32(0), np.float32(0))

    def hear(self, note):
        pitch, _, step, duration = note
        self.age += step
        self.rest -= step
        self.age[pitch], self.rest[pitch] = 0, duration
        self.last = note

    def features(self, note):
        """The rows of each head."""
        pitch, _, step, duration = note
        last_pitch, last_velocity, last_step, last_duration = self.last
        sounding = [2 * TIMES + time_bin(rest) for rest in self.rest if rest > 0]
        later = [2 * TIMES + time_bin(rest) for rest in self.rest - step if rest > 0]
        keys = []
        for key in range(128):
            row, age = TIMES + 128 + (AGES + 1) * key, self.age[key] + step
            keys += [row + age_class(age)] if age < 16 else []
            keys += [row + AGES] if self.rest[key] - step > 0 else []
        own = time_bin(step)
        return (
            [time_bin(last_step), TIMES + time_bin(last_duration), *sounding],
            [own, TIMES + last_pitch, *keys],
            [own, TIMES + time_bin(last_duration), *later, 3 * TIMES + pitch],
            [own, TIMES + time_bin(duration), 2 * TIMES + pitch, 2 * TIMES + 128 + last_velocity // 4],
        )


class Head(nn.Module):
    def __init__(self, part):
        super().__init__()
        self.hidden = nn.Linear(HIDDEN, HEAD_HIDDEN[part])
        self.features = nn.EmbeddingBag(FEATURES[part], HEAD_HIDDEN[part], mode="sum")
        self.output = nn.Linear(HEAD_HIDDEN[part], CHOICES[part])

    def forward(self, top, rows):
        features = self.features(torch.tensor([rows]))[0]
        return self.output((self.hidden(top) + features).relu())


class Expressive(nn.Module):
    """The expressive network, under its own names."""

    def __init__(self):
        super().__init__()
        widths = zip(PARTS, HEARD, EMBEDDING)
        self.embedding = nn.ModuleDict({part: nn.Embedding(*size) for part, *size in widths})
        self.rnn = nn.LSTM(sum(EMBEDDING), HIDDEN, LAYERS)
        self.head = nn.ModuleDict({part: Head(at) for at, part in enumerate(PARTS)})

    def hear(self, heard, right_hand, state=None):
        embedded = [self.embedding[part](torch.tensor([bin])) for part, bin in zip(PARTS, heard)]
        if right_hand:
            embedded[1] = embedded[1] + self.embedding["pitch"](torch.tensor([RIGHT_HAND]))
        top, state = self.rnn(torch.cat(embedded, -1)[None], state)
        return top[0, 0], state


def main():
    torch.manual_seed(12)
    rng = np.random.default_rng(12)
    model = Expressive()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            # Away from the flat middle of sigmoid and tanh; features are sums of many rows.
            parameter *= 0.2 if "features" in name else 3 if "embedding" not in name else 1
    notes = []
    for _ in range(NOTES):
        step = 0 if rng.random() < 0.4 else rng.random() ** 3 * 6
        times = np.float32(step), np.float32(rng.random() ** 2 * 9)
        notes.append((int(rng.integers(40, 80)), int(rng.integers(1, 128)), *times))
    golden = {}
    for hands, right_hand in ("both", False), ("right", True):
        history, said = History(), {part: [] for part in PARTS}
        with torch.no_grad():
            top, state = model.hear((0, BOS, 0, 0), right_hand)
            for note in notes:
                for part, rows in zip(PARTS, history.features(note)):
                    said[part].append(model.head[part](top, rows))
                top, state = model.hear(bins(note), right_hand, state)
                history.hear(note)
        golden |= {f"golden.{hands}.{part}": torch.stack(said[part]) for part in PARTS}
    columns = list(zip(*notes))
    golden["golden.note.keys"] = torch.tensor(columns[:2], dtype=torch.int32)
    golden["golden.note.times"] = torch.tensor(np.array(columns[2:], np.float32))
    path = Path(__file__).with_name("expressive-small.safetensors")
    save_file({**model.state_dict(), **golden}, path)


if __name__ == "__main__":
    main()
