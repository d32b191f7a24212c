"""LiteRT, whose XNNPACK delegate takes every operator but the row of the pitch."""

from importlib.metadata import version

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from worker import BOS, serve


class LiteRt:
    version = version("ai-edge-litert")

    def __init__(self, model, threads):
        self.interpreter = Interpreter(model_path=model, num_threads=threads)
        self.interpreter.allocate_tensors()
        self.run = self.interpreter.invoke
        details = self.interpreter.get_input_details(), self.interpreter.get_output_details()
        # Functions that give a view of a tensor; the views themselves must not outlive a run.
        inputs, outputs = ([self.interpreter.tensor(d["index"]) for d in each] for each in details)
        self.pitch, self.times, *self.states = inputs
        self.next, self.new = outputs[:2], outputs[2:]
        self.restart()

    def restart(self):
        for new in self.new:
            new().fill(0)
        self.prepare(BOS, 0, 0)
        self.run()

    def prepare(self, pitch, step, duration):
        self.pitch()[0] = pitch
        self.times()[0] = step, duration
        for state, new in zip(self.states, self.new):
            np.copyto(state(), new())

    def prediction(self):
        return np.concatenate([each()[0] for each in self.next])


serve(LiteRt)
