"""Writes the model for LiteRT: litert_graph.py WEIGHTS FOLDER makes FOLDER/{fp32,int8}.tflite.

Written operator by operator instead of through a converter, so that nothing but what the step
needs is in it. Weights in int8 have a scale per output; activations stay floats in the file, and
XNNPACK quantizes them as they come ("dynamic range").
"""

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from model import Model

OPS, OPTIONS, TYPES = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType


def filled(thing, **fields):
    """A table of the schema with some of its fields set."""
    for name, value in fields.items():
        setattr(thing, name, value)
    return thing


class Graph:
    """A subgraph in the making; values are indices of its tensors."""

    def __init__(self, precision):
        self.quantized = precision == "int8"
        self.buffers = [schema.BufferT()]
        self.tensors, self.operators, self.codes = [], [], []

    def value(self, shape, kind=TYPES.FLOAT32, name="", buffer=0, quantization=None):
        name = name or f"v{len(self.tensors)}"
        self.tensors.append(
            filled(
                schema.TensorT(),
                shape=list(shape), type=kind, name=name, buffer=buffer, quantization=quantization,
            )  # fmt: skip
        )
        return len(self.tensors) - 1

    def constant(self, values, scale=None):
        kinds = {"float32": TYPES.FLOAT32, "int32": TYPES.INT32, "int8": TYPES.INT8}
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(filled(schema.BufferT(), data=data))
        if scale is not None:
            zeros = np.zeros(len(scale), np.int64)
            scale = filled(schema.QuantizationParametersT(), scale=scale, zeroPoint=zeros)
        kind = kinds[values.dtype.name]
        return self.value(values.shape, kind, buffer=len(self.buffers) - 1, quantization=scale)

    def operator(self, name, inputs, widths, **options):
        """Adds an operator with one output per width."""
        code = getattr(OPS, name.upper())
        if code not in self.codes:
            self.codes.append(code)
        outputs = [self.value([1, width]) for width in widths]
        table = name.title().replace("_", "") + "Options"
        fields = dict(opcodeIndex=self.codes.index(code), inputs=inputs, outputs=outputs)
        if hasattr(schema, table + "T"):
            fields["builtinOptionsType"] = getattr(OPTIONS, table)
            fields["builtinOptions"] = filled(getattr(schema, table + "T")(), **options)
        self.operators.append(filled(schema.OperatorT(), **fields))
        return outputs

    def width(self, value):
        return self.tensors[value].shape[1]

    def each(self, name, *inputs):
        return self.operator(name, list(inputs), [self.width(inputs[0])])[0]

    def linear(self, x, matrix, bias=None, quantize=True):
        scale = None
        if quantize and self.quantized:
            scale = np.maximum(np.abs(matrix).max(1), 1e-12) / 127
            matrix = np.rint(matrix / scale[:, None]).astype(np.int8)
        inputs = [x, self.constant(matrix, scale), -1 if bias is None else self.constant(bias)]
        options = dict(asymmetricQuantizeInputs=True) if scale is not None else {}
        return self.operator("fully_connected", inputs, [len(matrix)], **options)[0]

    def row(self, table, index):
        inputs = [self.constant(table), index]
        return self.operator("gather", inputs, [table.shape[1]], axis=0)[0]

    def concat(self, *inputs):
        width = sum(map(self.width, inputs))
        return self.operator("concatenation", list(inputs), [width], axis=1)[0]

    def split(self, x, parts):
        inputs = [self.constant(np.array(1, np.int32)), x]
        return self.operator("split", inputs, [self.width(x) // parts] * parts, numSplits=parts)

    def add(self, a, b):
        return self.each("add", a, b)

    def multiply(self, a, b):
        return self.each("mul", a, b)

    def sigmoid(self, x):
        return self.each("logistic", x)

    def tanh(self, x):
        return self.each("tanh", x)

    def relu(self, x):
        return self.each("relu", x)

    def file(self, inputs, outputs):
        # Version 9 of FULLY_CONNECTED is the first with a scale per output for dynamic ranges.
        versions = {OPS.FULLY_CONNECTED: 9} if self.quantized else {}
        codes = [
            filled(
                schema.OperatorCodeT(),
                builtinCode=code, deprecatedBuiltinCode=code, version=versions.get(code, 1),
            )  # fmt: skip
            for code in self.codes
        ]
        subgraph = filled(
            schema.SubGraphT(),
            tensors=self.tensors, operators=self.operators, inputs=inputs, outputs=outputs,
        )  # fmt: skip
        model = filled(
            schema.ModelT(),
            version=3, operatorCodes=codes, subgraphs=[subgraph], buffers=self.buffers,
        )  # fmt: skip
        builder = flatbuffers.Builder(1 << 20)
        builder.Finish(model.Pack(builder), b"TFL3")
        return bytes(builder.Output())


def main():
    weights, folder = sys.argv[1:]
    model = Model(weights)
    for precision in ("fp32", "int8"):
        graph = Graph(precision)
        pitch, times = graph.value([1], TYPES.INT32, "pitch"), graph.value([1, 2], name="times")
        states = [graph.value([1, model.hidden], name=name) for name in model.states()]
        next_pitch, next_times, new = model.step(graph, pitch, times, states)
        file = graph.file([pitch, times, *states], [next_pitch, next_times, *new])
        Path(folder, f"{precision}.tflite").write_bytes(file)


if __name__ == "__main__":
    main()
