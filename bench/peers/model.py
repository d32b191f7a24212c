"""The model as matrices, and its step in operations that every graph builder has."""

import json
from pathlib import Path

import numpy as np


def read(path):
    """Every tensor of a safetensors file of floats."""
    data = Path(path).read_bytes()
    start = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:start])
    header.pop("__metadata__", None)

    def tensor(dtype, shape, data_offsets):
        if dtype != "F32":
            raise ValueError(f"{path} holds {dtype}; float weights are F32")
        begin, end = (start + offset for offset in data_offsets)
        return np.frombuffer(data[begin:end], "<f4").reshape(shape)

    return {name: tensor(**entry) for name, entry in header.items()}


class Model:
    """Matrices of shape (outputs, inputs), each with its bias or none.

    The embedding is multiplied into the first layer, as Pianola's export does, so that no engine
    has to: `of_pitch` holds what each pitch adds to that layer's gates, `of_times` what step and
    duration add. The matrix of a layer above takes [the hidden state below, its own].
    """

    def __init__(self, path):
        weights = read(path)
        self.layers = []
        while f"rnn.weight_hh_l{len(self.layers)}" in weights:
            names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
            of_input, matrix, *biases = (weights[f"rnn.{n}_l{len(self.layers)}"] for n in names)
            if self.layers:
                matrix = np.concatenate([of_input, matrix], 1)
            else:
                embedding = weights["pitch_embedding_layer.weight"]
                of_embedding, self.of_times = np.split(of_input, [len(embedding)], 1)
                self.of_pitch = (of_embedding @ embedding).T
            self.layers.append((matrix, sum(biases)))
        self.hidden = matrix.shape[0] // 4
        heads = ("pitch1", "pitch2", "step", "duration")
        pitch_hidden, pitch, step, duration = (
            (weights[f"decoder_{head}.weight"], weights[f"decoder_{head}.bias"]) for head in heads
        )
        self.pitch_hidden, self.pitch = pitch_hidden, pitch
        self.times = [np.concatenate(pair) for pair in zip(step, duration)]

    def states(self):
        """Names of the states, in the order in which `step` takes and returns them."""
        return [f"{kind}{layer}" for layer in range(len(self.layers)) for kind in "hc"]

    def step(self, graph, pitch, times, states):
        """One step: the prediction for the next note (pitch, times) and the new states."""
        new = []
        for (matrix, bias), hidden, cell in zip(self.layers, states[::2], states[1::2]):
            if new:
                gates = graph.linear(graph.concat(new[-2], hidden), matrix, bias)
            else:
                note = graph.add(
                    graph.row(self.of_pitch, pitch),
                    graph.linear(times, self.of_times, quantize=False),
                )
                gates = graph.add(graph.linear(hidden, matrix, bias), note)
            i, f, g, o = graph.split(gates, 4)
            keep = graph.multiply(graph.sigmoid(f), cell)
            cell = graph.add(keep, graph.multiply(graph.sigmoid(i), graph.tanh(g)))
            new += [graph.multiply(graph.sigmoid(o), graph.tanh(cell)), cell]
        top = new[-2]
        inner = graph.relu(graph.linear(top, *self.pitch_hidden))
        return graph.linear(inner, *self.pitch), graph.linear(top, *self.times), new
