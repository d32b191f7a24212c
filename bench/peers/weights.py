"""Random float weights of the report's shape, as a file that every engine reads."""

import json
import random
from array import array
from math import prod
from pathlib import Path

HIDDEN, EMBEDDING, PITCH_HIDDEN, PITCHES, LAYERS = 512, 130, 300, 129, 3


def tensors():
    """Name, shape and fan-in of every tensor, as docs/model-file.md names them."""
    yield "pitch_embedding_layer.weight", (EMBEDDING, PITCHES), PITCHES
    for layer in range(LAYERS):
        width = HIDDEN if layer else EMBEDDING + 2
        yield f"rnn.weight_ih_l{layer}", (4 * HIDDEN, width), HIDDEN
        yield f"rnn.weight_hh_l{layer}", (4 * HIDDEN, HIDDEN), HIDDEN
        yield f"rnn.bias_ih_l{layer}", (4 * HIDDEN,), HIDDEN
        yield f"rnn.bias_hh_l{layer}", (4 * HIDDEN,), HIDDEN
    heads = [("pitch1", PITCH_HIDDEN, HIDDEN), ("pitch2", PITCHES, PITCH_HIDDEN)]
    for name, outputs, inputs in [*heads, ("step", 1, HIDDEN), ("duration", 1, HIDDEN)]:
        yield f"decoder_{name}.weight", (outputs, inputs), inputs
        yield f"decoder_{name}.bias", (outputs,), inputs


def write_random(path, seed=1, gain=3):
    """Uniform up to gain/sqrt(fan-in): PyTorch begins with a gain of 1, which leaves every gate in
    the flat middle of its sigmoid, where one model is much like another."""
    uniform = random.Random(seed).uniform
    header, data = {}, bytearray()
    for name, shape, fan_in in tensors():
        bound, begin = gain * fan_in**-0.5, len(data)
        data += array("f", (uniform(-bound, bound) for _ in range(prod(shape)))).tobytes()
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [begin, len(data)]}
    header = json.dumps(header).encode()
    header += b" " * (-len(header) % 8)
    Path(path).write_bytes(len(header).to_bytes(8, "little") + header + data)
