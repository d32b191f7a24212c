"""Writes the model for LiteRT: litert_graph.py WEIGHTS FOLDER makes FOLDER/PRECISION.tflite.

Written operator by operator instead of through a converter, so that nothing but what the step
needs is in it. Quantized weights have a scale per row or per block of a row; activations stay
floats in the file, and XNNPACK quantizes them to int8 as they come ("dynamic range").
"""

import sys
from pathlib import Path

import flatbuffers
import numpy as np
from ai_edge_litert import schema_py_generated as schema

from model import Model

OPS, OPTIONS, TYPES = schema.BuiltinOperator, schema.BuiltinOptions, schema.TensorType
# Type of the weights, largest one, and how many share a scale: a row if None.
PRECISIONS = {
    "fp32": None,
    "int8": (TYPES.INT8, 127, None),
    "int4": (TYPES.INT4, 7, 32),
    "int4-rows": (TYPES.INT4, 7, None),
}


def filled(thing, **fields):
    """A table of the schema with some of its fields set."""
    for name, value in fields.items():
        setattr(thing, name, value)
    return thing


class Graph:
    """A subgraph in the making; values are indices of its tensors."""

    def __init__(self, precision):
        self.quantization = PRECISIONS[precision]
        self.buffers = [schema.BufferT()]
        self.tensors, self.operators, self.codes = [], [], []

    def value(self, shape, kind=TYPES.FLOAT32, **fields):
        fields = dict(name=f"v{len(self.tensors)}", buffer=0) | fields
        self.tensors.append(filled(schema.TensorT(), shape=list(shape), type=kind, **fields))
        return len(self.tensors) - 1

    def constant(self, values, shape=None, kind=None, quantization=None):
        kinds = {"float32": TYPES.FLOAT32, "float16": TYPES.FLOAT16, "int32": TYPES.INT32}
        kind = kinds[values.dtype.name] if kind is None else kind
        data = np.frombuffer(np.ascontiguousarray(values).tobytes(), np.uint8)
        self.buffers.append(filled(schema.BufferT(), data=data))
        at = len(self.buffers) - 1
        shape = values.shape if shape is None else shape
        return self.value(shape, kind, buffer=at, quantization=quantization)

    def quantized(self, matrix):
        kind, largest, block = self.quantization
        rows, columns = matrix.shape
        if block is None or columns % block:
            block = columns
        blocks = matrix.reshape(rows, -1, block)
        scales = np.maximum(np.abs(blocks).max(2), 1e-4) / largest
        if block < columns:
            scales = scales.astype(np.float16)
            details = filled(
                schema.BlockwiseQuantizationT(),
                scales=self.constant(scales), zeroPoints=-1, blockSize=block,
            )  # fmt: skip
            blockwise = schema.QuantizationDetails.BlockwiseQuantization
            fields = dict(details=details, detailsType=blockwise)
        else:
            fields = dict(scale=scales[:, 0], zeroPoint=np.zeros(rows, np.int64))
        values = np.rint(blocks / scales[..., None].astype(np.float32))
        values = values.clip(-largest, largest).astype(np.int8).reshape(rows, columns)
        if kind == TYPES.INT4:  # two in a byte, the first in the low half
            values = (values[:, ::2] & 15) | (values[:, 1::2] << 4)
        quantization = filled(schema.QuantizationParametersT(), **fields)
        return self.constant(values, matrix.shape, kind, quantization)

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
        quantize = quantize and self.quantization
        weights = self.quantized(matrix) if quantize else self.constant(matrix)
        inputs = [x, weights, -1 if bias is None else self.constant(bias)]
        options = dict(asymmetricQuantizeInputs=True) if quantize else {}
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
        versions = {OPS.FULLY_CONNECTED: 9} if self.quantization else {}
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
    for precision in PRECISIONS:
        graph = Graph(precision)
        pitch, times = graph.value([1], TYPES.INT32, name="pitch"), graph.value([1, 2], name="times")
        states = [graph.value([1, model.hidden], name=name) for name in model.states()]
        next_pitch, next_times, new = model.step(graph, pitch, times, states)
        file = graph.file([pitch, times, *states], [next_pitch, next_times, *new])
        Path(folder, f"{precision}.tflite").write_bytes(file)


if __name__ == "__main__":
    main()
