"""Writes a checkpoint as ONNX: normalised RGB (1, 3, S, S) in, logits (1, 1, S, S) out.

python benchmarks/export_onnx.py CHECKPOINT OUTPUT
"""

import sys
import warnings

import torch

import pranet


def export(model_name: str, output: str) -> None:
    """Write it."""
    model = pranet.load_model(model_name)
    side_px = model.config.input_size
    with warnings.catch_warnings():
        # Tracing warns of Python conditions on shapes; the shape is fixed here on purpose.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model,
            (torch.zeros(1, 3, side_px, side_px),),
            output,
            input_names=["image"],
            output_names=["logits"],
            dynamo=True,
        )


if __name__ == "__main__":
    export(sys.argv[1], sys.argv[2])
