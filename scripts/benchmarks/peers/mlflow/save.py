"""Save the ONNX model as MLflow wants it."""

from __future__ import annotations

import sys

import mlflow.onnx
import onnx

options = {"intra_op_num_threads": 1}
mlflow.onnx.save_model(
    onnx.load(sys.argv[1]), sys.argv[2], onnx_session_options=options, save_as_external_data=False
)
