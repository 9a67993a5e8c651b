"""TensorRT's own builder, on a machine without a GPU: see `make test-tensorrt`."""

import importlib
import importlib.metadata
import os
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import torch

#: What engines are built for: an RTX 40 or an L4.
COMPUTE_CAPABILITY = (8, 9)


@pytest.fixture(scope="session")
def builder() -> Iterator[dict[str, str]]:
    """The converters of Torch-TensorRT, in front of the builder of TensorRT-RTX; its versions.

    Torch-TensorRT's usual TensorRT builds engines by timing them on a GPU. The RTX variant builds
    for a stated compute capability, on any machine; the converters in front are the same. So the
    package is presented as its RTX variant, without its C++ library, which is linked to the usual
    one, and the few questions to the GPU are answered. Nothing stands in for the conversion, the
    layers or the builder; what is not done is to load the engine.
    """
    present = os.path.isfile
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.cuda, "get_device_capability", lambda *_: COMPUTE_CAPABILITY)
        patch.setattr(torch.cuda, "current_device", lambda: 0)
        patch.setattr(torch.cuda, "mem_get_info", lambda *_: (8 << 30, 8 << 30))
        bindings = importlib.import_module("tensorrt_rtx_bindings")
        patch.setitem(sys.modules, "tensorrt_rtx", bindings)
        with pytest.MonkeyPatch.context() as importing:
            named = {"torch_tensorrt": ["torch-tensorrt-rtx"]}
            importing.setattr(importlib.metadata, "packages_distributions", lambda: named)
            importing.setattr(
                os.path, "isfile", lambda path: "libtorchtrt" not in str(path) and present(path)
            )
            importlib.import_module("torch_tensorrt")
        conversion = importlib.import_module("torch_tensorrt.dynamo.conversion")
        _build_for(patch, conversion.TRTInterpreter, bindings)
        yield {
            "torch": torch.__version__,
            "torch-tensorrt": importlib.metadata.version("torch-tensorrt"),
            "TensorRT-RTX": str(bindings.__version__),
        }


def _build_for(patch: pytest.MonkeyPatch, interpreter: Any, bindings: Any) -> None:
    """State the GPU in every configuration of the builder."""
    original = interpreter._populate_trt_builder_config
    major, minor = COMPUTE_CAPABILITY

    def populate(self: Any, *args: Any, **options: Any) -> Any:
        config = original(self, *args, **options)
        config.num_compute_capabilities = 1
        stated = getattr(bindings.ComputeCapability, f"SM{major}{minor}")
        assert config.set_compute_capability(stated, 0)
        return config

    patch.setattr(interpreter, "_populate_trt_builder_config", populate)
