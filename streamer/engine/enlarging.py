"""Maps enlarged by matrix products, which takes a CPU a fraction of OpenVINO's interpolation.

The network ends with three or four maps of one channel that are enlarged to its input's size. On
two cores with AVX2 that was an eighth of its time.
"""

from typing import Any

import numpy as np
import openvino as ov
from numpy.typing import NDArray
from openvino import opset13

_HALF_PIXEL = ("half_pixel", "pytorch_half_pixel")


def enlarge_by_products(network: ov.Model) -> int:
    """Replace each bilinear enlargement of a single map by two matrix products, in place.

    A bilinear resize is linear, and works along one axis at a time: it is ``rows · map · columnsᵀ``
    with the weights of each result's row and column. Nothing changes but the time.

    Returns:
        How many were replaced.
    """
    replaced = 0
    for operation in network.get_ordered_ops():
        if not _is_enlargement(operation):
            continue
        # Of the input and of the output: (1, 1, height, width).
        before, after = operation.get_input_shape(0), operation.get_output_shape(0)
        rows = opset13.constant(bilinear_weights(before[2], after[2]))
        columns = opset13.constant(bilinear_weights(before[3], after[3]))
        tall = opset13.matmul(rows, operation.input_value(0), False, False)
        operation.output(0).replace(opset13.matmul(tall, columns, False, True).output(0))
        replaced += 1
    network.validate_nodes_and_infer_types()
    return replaced


def bilinear_weights(count: int, size: int) -> NDArray[np.float32]:
    """(size, count): how much of each of `count` pixels is in each of `size` ones, half-pixel
    centres."""
    places = ((np.arange(size) + 0.5) * count / size - 0.5).clip(0, count - 1)
    apart = np.abs(places[:, None] - np.arange(count))
    return np.asarray((1 - apart).clip(0), np.float32)


def _is_enlargement(operation: Any) -> bool:
    if operation.get_type_name() != "Interpolate":
        return False
    attributes = operation.get_attributes()
    if attributes["mode"] != "linear_onnx":
        return False
    if attributes["coordinate_transformation_mode"] not in _HALF_PIXEL:
        return False
    if operation.input(0).get_partial_shape().is_dynamic:
        return False
    before, after = operation.get_input_shape(0), operation.get_output_shape(0)
    enlarges = after[2] >= before[2] and after[3] >= before[3]
    return len(before) == 4 and tuple(before[:2]) == (1, 1) and enlarges
