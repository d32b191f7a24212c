"""Writes the model as ONNX: onnx_graph.py WEIGHTS FOLDER makes FOLDER/{fp32,int8,int4}.onnx.

int8 is `quantize_dynamic` as it comes: a scale per matrix. A scale per output costs ONNX Runtime
a fifth more time. int4 is MatMulNBits: a scale per block of 32 weights, activations in int8.
"""

import logging
import sys
from pathlib import Path

import onnx
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import quantize_dynamic
from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

from model import Model


class Graph:
    """A graph in the making; values are names."""

    def __init__(self):
        self.nodes, self.constants, self.floats = [], [], []

    def constant(self, values):
        name = f"w{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(values, name))
        return name

    def nodes_of(self, kind, *inputs, outputs=1, **attributes):
        names = [f"{kind.lower()}{len(self.nodes)}_{i}" for i in range(outputs)]
        node = helper.make_node(kind, inputs, names, name=names[0], **attributes)
        self.nodes.append(node)
        return names

    def node(self, kind, *inputs, **attributes):
        return self.nodes_of(kind, *inputs, **attributes)[0]

    def linear(self, x, matrix, bias=None, quantize=True):
        product = self.node("MatMul", x, self.constant(matrix.T.copy()))
        if not quantize:
            self.floats.append(product)
        return product if bias is None else self.add(product, self.constant(bias))

    def row(self, table, index):
        return self.node("Gather", self.constant(table.copy()), index, axis=0)

    def concat(self, *inputs):
        return self.node("Concat", *inputs, axis=1)

    def split(self, x, parts):
        return self.nodes_of("Split", x, outputs=parts, axis=1, num_outputs=parts)

    def add(self, a, b):
        return self.node("Add", a, b)

    def multiply(self, a, b):
        return self.node("Mul", a, b)

    def sigmoid(self, x):
        return self.node("Sigmoid", x)

    def tanh(self, x):
        return self.node("Tanh", x)

    def relu(self, x):
        return self.node("Relu", x)

    def model(self, inputs, outputs):
        graph = helper.make_graph(self.nodes, "pianola", inputs, outputs, self.constants)
        opset = helper.make_opsetid("", 21)
        return helper.make_model(graph, opset_imports=[opset], ir_version=10)


def values(names, widths):
    shapes = zip(names, widths)
    return [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, w]) for n, w in shapes]


def main():
    weights, folder = sys.argv[1], Path(sys.argv[2])
    logging.disable()
    model, graph = Model(weights), Graph()
    names = model.states()
    next_pitch, next_times, new = model.step(graph, "pitch", "times", names)
    widths = [model.hidden] * len(names)
    pitch = helper.make_tensor_value_info("pitch", TensorProto.INT32, [1])
    inputs = [pitch, *values(["times", *names], [2, *widths])]
    pitches = len(model.pitch[1])
    outputs = values([next_pitch, next_times, *new], [pitches, 2, *widths])
    fp32 = graph.model(inputs, outputs)
    onnx.save(fp32, folder / "fp32.onnx")
    quantize_dynamic(fp32, folder / "int8.onnx", nodes_to_exclude=graph.floats)
    nbits = MatMulNBitsQuantizer(
        fp32, block_size=32, is_symmetric=True, accuracy_level=4, nodes_to_exclude=graph.floats
    )
    nbits.process()
    nbits.model.save_model_to_file(folder / "int4.onnx")


if __name__ == "__main__":
    main()
