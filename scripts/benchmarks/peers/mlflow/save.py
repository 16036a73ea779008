"""Save the ONNX model in MLflow's format, with a signature that casts JSON numbers to float32."""

from __future__ import annotations

import sys

import mlflow.onnx
import numpy as np
import onnx
from mlflow.models import ModelSignature
from mlflow.types import Schema, TensorSpec

source, target = sys.argv[1:]
model = onnx.load(source)
width = model.graph.input[0].type.tensor_type.shape.dim[1].dim_value
mlflow.onnx.save_model(
    model,
    target,
    signature=ModelSignature(inputs=Schema([TensorSpec(np.dtype(np.float32), (-1, width))])),
    onnx_session_options={"intra_op_num_threads": 1},
    save_as_external_data=False,
)
