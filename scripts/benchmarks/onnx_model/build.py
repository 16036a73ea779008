"""Convert a Keras model to ONNX, node by node, from its config and weights.

Supports only the few layers that this project's models use, and names any other that it finds.
Reads config.json and weights.npz from the folder that `reference.py` wrote.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

OPSET = 17
Array = NDArray[np.float32]


class Graph:
    """The ONNX nodes and constants, in the order of the Keras layers."""

    def __init__(self, weights: dict[str, Array]) -> None:
        self.weights = weights
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        name = f"constant_{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, np.float32), name))
        return name

    def node(self, kind: str, inputs: list[str], output: str | None = None, **options: Any) -> str:
        name = output or f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **options))
        return name

    def add(self, kind: str, config: dict[str, Any], inputs: list[str], output: str) -> None:
        """Add one Keras layer or operation."""
        if kind == "Dense":
            self.dense(config, inputs, output)
        elif kind == "Rescaling":
            scaled = self.node("Mul", [inputs[0], self.constant(config["scale"])])
            self.node("Add", [scaled, self.constant(config["offset"])], output)
        elif kind == "Normalization":
            centred = self.node("Sub", [inputs[0], self.constant(config["mean"])])
            deviation = self.constant(np.maximum(np.sqrt(config["variance"]), 1e-7))
            self.node("Div", [centred, deviation], output)
        elif kind == "NotEqual":
            equal = self.node("Equal", [inputs[0], self.constant(inputs[1])])
            self.node("Not", [equal], output)
        elif kind == "Cast":
            self.node("Cast", inputs[:1], output, to=TensorProto.FLOAT)
        elif kind == "Multiply":
            self.node("Mul", inputs, output)
        elif kind == "Dropout":
            self.node("Identity", inputs[:1], output)
        else:
            raise SystemExit(f"The layer {kind} is not supported; add it to {__file__}.")

    def dense(self, config: dict[str, Any], inputs: list[str], output: str) -> None:
        kernel, bias = (self.constant(self.weights[f"{config['name']}/{i}"]) for i in (0, 1))
        linear = self.node("Gemm", [inputs[0], kernel, bias])
        activation = config["activation"]
        if activation in ("swish", "silu"):
            self.node("Mul", [linear, self.node("Sigmoid", [linear])], output)
        elif activation in ("relu", "sigmoid", "tanh", "softmax", "linear"):
            names = {"linear": "Identity"}
            self.node(names.get(activation, activation.capitalize()), [linear], output)
        else:
            raise SystemExit(f"The activation {activation} is not supported; add it to {__file__}.")


def tensors(value: Any) -> list[Any]:
    """The inputs of a layer: the names of other layers, and plain numbers unchanged."""
    if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
        return [value["config"]["keras_history"][0]]
    if isinstance(value, (list, tuple)):
        return [name for item in value for name in tensors(item)]
    return [] if isinstance(value, dict) else [value]


def build(folder: Path) -> onnx.ModelProto:
    config = json.loads((folder / "config.json").read_text())["config"]
    with np.load(folder / "weights.npz") as weights:
        graph = Graph(dict(weights))
    source, sink = config["input_layers"][0], config["output_layers"][0]
    width = 0
    for layer in config["layers"]:
        if layer["class_name"] == "InputLayer":
            width = layer["config"]["batch_shape"][1]
            continue
        graph.add(
            layer["class_name"],
            layer["config"],
            tensors(layer["inbound_nodes"][0]["args"]),
            layer["name"],
        )
    value = helper.make_tensor_value_info
    onnx_graph = helper.make_graph(
        graph.nodes,
        "model",
        [value(source, TensorProto.FLOAT, ["rows", width])],
        [value(sink, TensorProto.FLOAT, ["rows", None])],
        graph.constants,
    )
    model = helper.make_model(onnx_graph, opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = 8
    onnx.checker.check_model(model)
    return model


if __name__ == "__main__":
    onnx.save(build(Path(sys.argv[1])), sys.argv[2])
