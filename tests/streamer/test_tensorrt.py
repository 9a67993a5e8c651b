"""TensorRT engines without TensorRT: how one is built, kept, found and refused."""

import copy
import ctypes
import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from pranet.checkpoint import WEIGHTS_FOLDER, CheckpointInfo, load_model, read_info
from streamer.engine import tensorrt, tensorrt_build, tensorrt_convert, tensorrt_here
from streamer.engine.eager import ImageToProbability
from streamer.engine.layer_types import LayerTypes
from streamer.engine.manifest import read_manifest
from streamer.engine.network import lean_network
from streamer.engine.quantised import Ranges, paths_of, write_ranges
from streamer.engine.tensorrt import (
    MANIFEST,
    PLAN,
    PlanRunner,
    build_command,
    engine_folder,
    find_engine,
    load_engine,
)
from streamer.engine.tensorrt_build import build_engine, convert_model
from streamer.engine.tensorrt_convert import Conversion
from streamer.errors import EngineError

GPU_FACTS = tensorrt_here.gpu_facts
GPU = {"gpu": "NVIDIA H100", "compute_capability": "9.0", "driver": "580.65.06"}

Image = NDArray[np.uint8]


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def info(checkpoint: Path) -> CheckpointInfo:
    return read_info(checkpoint)


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A GPU as far as facts about it go; its facts may be changed."""
    facts = dict(GPU)
    monkeypatch.setattr(tensorrt_here, "gpu_facts", lambda: dict(facts))
    return facts


class Converter:
    """Stands in for the conversion and for TensorRT: engines that are off by so much.

    off: added to each probability, of the plain and of the careful engine.
    """

    def __init__(self) -> None:
        self.off = {False: 0.0, True: 0.0}
        self.layers = LayerTypes(207, 2, 0, ("a cast", "a sigmoid"), "network")
        self.described = ""
        self.calls: list[bool] = []

    def convert(
        self, model: Any, precision: str, size_px: int, ranges: Any, *, careful: bool
    ) -> Conversion:
        self.calls.append(careful)
        return Conversion(b"careful" if careful else b"plain", 209, self.layers, (), ())

    def runner(self, plan: bytes) -> Any:
        return SimpleNamespace(off=self.off[plan == b"careful"], describe=lambda: self.described)


@pytest.fixture(scope="module")
def model(checkpoint: Path) -> Any:
    return load_model(checkpoint)


@pytest.fixture
def converter(monkeypatch: pytest.MonkeyPatch, gpu: dict[str, str], model: Any) -> Converter:
    made = Converter()
    right = np.linspace(0, 0.7, 96 * 96, dtype=np.float32).reshape(96, 96)

    def run(runner: Any, eager: Any, frame: Image) -> Any:
        return right + np.float32(runner.off)

    for module in (tensorrt, tensorrt_build):
        monkeypatch.setattr(module, "PlanRunner", made.runner)
    monkeypatch.setattr(tensorrt_build, "convert_model", made.convert)
    monkeypatch.setattr(tensorrt_build, "load_model", lambda _: model)
    monkeypatch.setattr(tensorrt_build, "_run", run)
    monkeypatch.setattr(tensorrt_build, "_run_eager", lambda *_: right)
    return made


@pytest.fixture
def build(info: CheckpointInfo, image: Image) -> Callable[..., tensorrt_build.Built]:
    def run(precision: str = "fp16", **options: Any) -> tensorrt_build.Built:
        return build_engine(info, precision, frames=lambda size_px: [image], **options)

    return run


Build = Callable[..., tensorrt_build.Built]


class TestBuild:
    def test_engine_is_kept_and_found(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        said: list[str] = []
        assert find_engine(info, "fp16") is None

        built = build(tell=said.append)

        assert find_engine(info, "fp16") == built.folder == engine_folder(info, "fp16")
        assert find_engine(info, "fp32") is None
        assert read_manifest(built.folder / MANIFEST) == built.manifest
        assert built.manifest.facts.shape == (1, 3, 96, 96)
        assert built.manifest.layers == converter.layers
        assert not built.manifest.careful
        assert said == [
            "building pranet_v2_lite0 fp16 at 96x96 px for NVIDIA H100",
            "one engine of 209 operators: 207 half, 2 float layers (0 others), "
            "read from the network",
        ]
        runner, manifest = load_engine(info, "fp16")
        assert manifest == built.manifest
        assert runner.off == 0.0  # type: ignore[attr-defined]

    def test_into_another_folder(
        self, build: Build, converter: Converter, info: CheckpointInfo, tmp_path: Path
    ) -> None:
        built = build(folder=tmp_path / "mine")

        assert built.folder == tmp_path / "mine"
        assert find_engine(info, "fp16") is None
        assert load_engine(info, "fp16", folder=built.folder)[1] == built.manifest

    def test_engine_itself_is_asked_for_its_layers(
        self, build: Build, converter: Converter
    ) -> None:
        converter.described = '{"Layers": [{"Name": "a", "Outputs": [{"Datatype": "Half"}]}]}'
        built = build()

        assert built.manifest.layers == LayerTypes(1, 0, 0, (), "engine")
        assert built.network == converter.layers

    def test_engine_that_turns_out_to_be_float_is_not_kept(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        converter.described = '{"Layers": [{"Name": "a", "Outputs": [{"Datatype": "Float"}]}]}'
        with pytest.raises(EngineError, match="asked for fp16, but 1 of 1 layers"):
            build()
        assert find_engine(info, "fp16") is None

    def test_engine_that_is_off_is_not_kept(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        converter.off[False] = 0.2
        with pytest.raises(EngineError, match=r"too far from eager fp32 .*; use --precision fp32"):
            build()
        assert converter.calls == [False], "there are no layer norms to be careful with"
        assert find_engine(info, "fp16") is None

        converter.off[False] = 0.01
        with pytest.raises(EngineError, match="use --backend cuda"):
            build("fp32")

    def test_layer_norms_are_tried_in_float_once(
        self, build: Build, converter: Converter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.add_a_layer_norm(monkeypatch)
        converter.off[False] = 0.2
        said: list[str] = []
        built = build(tell=said.append)

        assert converter.calls == [False, True]
        assert built.manifest.careful
        assert any("again, layer norms and attention in float32" in line for line in said)

    def test_layer_norms_in_float_may_not_be_enough(
        self, build: Build, converter: Converter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.add_a_layer_norm(monkeypatch)
        converter.off = {False: 0.2, True: 0.2}
        with pytest.raises(EngineError, match="is not kept"):
            build()
        assert converter.calls == [False, True]

    @staticmethod
    def add_a_layer_norm(monkeypatch: pytest.MonkeyPatch) -> None:
        changed = copy.deepcopy(tensorrt_build.load_model(Path()))
        changed.add_module("unused", torch.nn.LayerNorm(4))
        monkeypatch.setattr(tensorrt_build, "load_model", lambda _: changed)

    def test_frames_are_compared_with_the_eager_engine(self, model: Any, image: Image) -> None:
        network = ImageToProbability(model)
        with torch.inference_mode():
            expected = network(torch.from_numpy(image)[None])[0].numpy()

        np.testing.assert_array_equal(tensorrt_build._run_eager(network, image), expected)

    def test_engine_gets_the_picture_normalised(
        self, model: Any, image: Image, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """As `lean_network` takes it, which has no normalisation of its own."""
        lean = lean_network(model, torch.float32)

        def runner(normalised: torch.Tensor) -> torch.Tensor:
            with torch.inference_mode():
                return lean(normalised)

        runner.dtype = torch.float32  # type: ignore[attr-defined]
        to = torch.Tensor.to
        monkeypatch.setattr(torch.Tensor, "to", lambda self, place, dtype: to(self, dtype))
        network = ImageToProbability(model)
        found = tensorrt_build._run(runner, network, image)  # type: ignore[arg-type]
        monkeypatch.undo()

        expected = tensorrt_build._run_eager(network, image)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("precision", ["int8", "fp8"])
    def test_8_bits_need_ranges(
        self, build: Build, converter: Converter, info: CheckpointInfo, precision: str
    ) -> None:
        needed = f"run: pranet-calibrate precision --backend tensorrt --precision {precision} --mod"
        with pytest.raises(EngineError, match=needed):
            build(precision)
        assert converter.calls == []

    def test_8_bits_with_ranges_of_one_checkpoint(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        path = paths_of(info, "tensorrt-int8")[1]
        write_ranges(path, info, Ranges("int8", {"stem": 2.0}, {}))
        converter.layers = LayerTypes(207, 2, 0, (), "network", eight=1)
        built = build("int8")

        assert built.folder == engine_folder(info, "int8")
        assert built.manifest.facts.ranges == Ranges("int8", {"stem": 2.0}, {}).sha256
        assert load_engine(info, "int8")[1] == built.manifest
        write_ranges(path, info, Ranges("int8", {"stem": 2.1}, {}))
        with pytest.raises(EngineError, match=r"does not fit \(ranges: built for .*int8$"):
            load_engine(info, "int8")
        path.unlink()
        with pytest.raises(EngineError, match="int8 needs to know how large activations become"):
            load_engine(info, "int8")

    def test_8_bits_that_are_not_are_not_kept(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        write_ranges(paths_of(info, "tensorrt-fp8")[1], info, Ranges("fp8", {"stem": 2.0}, {}))
        with pytest.raises(EngineError, match="asked for fp8, but no convolution reads 8-bit"):
            build("fp8")
        assert find_engine(info, "fp8") is None

    @pytest.mark.parametrize(("capability", "supported"), [("8.6", False), ("10.0", True)])
    def test_fp8_only_where_the_gpu_has_it(
        self,
        build: Build,
        converter: Converter,
        info: CheckpointInfo,
        gpu: dict[str, str],
        capability: str,
        supported: bool,
    ) -> None:
        gpu["compute_capability"] = capability
        write_ranges(paths_of(info, "tensorrt-fp8")[1], info, Ranges("fp8", {"stem": 2.0}, {}))
        converter.layers = LayerTypes(207, 2, 0, (), "network", eight=1)
        if supported:
            assert build("fp8").manifest.facts.compute_capability == capability
            return
        with pytest.raises(EngineError, match=r"needs .* 8\.9 or later, .* has 8\.6; use"):
            build("fp8")
        assert converter.calls == []

    def test_no_pictures_to_compare_on(self, converter: Converter, info: CheckpointInfo) -> None:
        with pytest.raises(EngineError, match="no picture to compare on; name a clip"):
            build_engine(info, "fp16", frames=lambda size_px: [])
        assert converter.calls == []

    def test_unknown_precision(self, build: Build) -> None:
        with pytest.raises(EngineError, match="unknown precision 'bf16' for tensorrt; known: fp16"):
            build("bf16")

    @pytest.mark.parametrize("size_px", [31, 100, 4128, -32])
    def test_size_that_cannot_be(self, build: Build, converter: Converter, size_px: int) -> None:
        with pytest.raises(EngineError, match=f"multiple of 32 px up to 4096, not {size_px}"):
            build(size_px=size_px)

    def test_no_gpu(self, build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(EngineError, match="needs an NVIDIA GPU, and torch sees none here"):
            build()

    def test_failure_of_torch_is_one_line(
        self, build: Build, converter: Converter, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any, **__: Any) -> None:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")

        monkeypatch.setattr(tensorrt_build, "convert_model", fail)
        with pytest.raises(EngineError, match=r"^the build failed \(CUDA out of memory\.\)$"):
            build()

    def test_folder_that_cannot_be_written(
        self, build: Build, converter: Converter, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(EngineError, match="cannot be written; set PRANET_STREAM_CACHE"):
            build(folder=tmp_path / "file" / "engine")


class TestLoad:
    def test_none_was_built(self, info: CheckpointInfo, gpu: dict[str, str]) -> None:
        command = f"pranet-build --model {info.path} --backend tensorrt --precision fp16"
        with pytest.raises(EngineError) as caught:
            load_engine(info, "fp16")
        assert str(caught.value).endswith(
            f"no TensorRT engine was built for this checkpoint; run: {command}"
        )

    def test_command_names_what_is_bundled(self, tmp_path: Path) -> None:
        bundled = CheckpointInfo(WEIGHTS_FOLDER / "pranet_v2_lite0.safetensors", "0" * 64, {}, {})
        other = CheckpointInfo(tmp_path / "my weights.pth", "0" * 64, {}, {})

        assert "--model pranet_v2_lite0 " in build_command(bundled, "fp16")
        assert f"--model '{tmp_path}/my weights.pth' " in build_command(other, "fp16")

    @pytest.mark.parametrize("fact", list(GPU))
    def test_another_machine(
        self,
        fact: str,
        build: Build,
        converter: Converter,
        info: CheckpointInfo,
        gpu: dict[str, str],
    ) -> None:
        build()
        gpu[fact] = "another"
        with pytest.raises(
            EngineError, match=f"built for {GPU[fact]}, here another.*run: pranet-b"
        ):
            load_engine(info, "fp16")

    @pytest.mark.parametrize(
        "package", ["pranet-stream", "torch", "torch-tensorrt", "tensorrt-cu13"]
    )
    def test_another_version(
        self,
        package: str,
        build: Build,
        converter: Converter,
        info: CheckpointInfo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        build()
        original = tensorrt_here.version_of
        monkeypatch.setattr(
            tensorrt_here,
            "version_of",
            lambda *names: "99.9" if package in names else original(*names),
        )
        with pytest.raises(EngineError, match=r"here 99\.9\); run: pranet-build"):
            load_engine(info, "fp16")

    @pytest.mark.parametrize("damage", [b"", b"x" * 99], ids=["empty", "other bytes"])
    def test_damaged_engine(
        self, damage: bytes, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        (build().folder / PLAN).write_bytes(damage)
        with pytest.raises(EngineError, match="missing or damaged; run: pranet-build"):
            load_engine(info, "fp16")

    def test_half_an_engine_is_none(
        self, build: Build, converter: Converter, info: CheckpointInfo
    ) -> None:
        (build().folder / MANIFEST).unlink()

        assert find_engine(info, "fp16") is None

    def test_no_gpu(
        self,
        build: Build,
        converter: Converter,
        info: CheckpointInfo,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        build()
        monkeypatch.setattr(tensorrt_here, "gpu_facts", GPU_FACTS)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        with pytest.raises(EngineError, match="needs an NVIDIA GPU"):
            load_engine(info, "fp16")


class FakeTensorRt(ModuleType):
    """TensorRT as far as a plan is loaded.

    ends: (name, mode, shape, format) of the engine; None: the plan is not taken.
    """

    float16, float32, int32 = "half", "float", "int"
    TensorIOMode = SimpleNamespace(INPUT="in", OUTPUT="out")

    def __init__(self, ends: list[tuple[str, str, tuple[int, ...], str]] | None) -> None:
        super().__init__("tensorrt")
        self.ends = ends
        self.memory = True

    def Logger(self, _: Any) -> None:  # noqa: N802
        return None

    Logger.ERROR = None  # type: ignore[attr-defined]

    def Runtime(self, _: Any) -> Any:  # noqa: N802
        return SimpleNamespace(deserialize_cuda_engine=lambda plan: self._engine())

    def _engine(self) -> Any:
        if self.ends is None:
            return None
        by_name = {end[0]: end for end in self.ends}
        return SimpleNamespace(
            num_io_tensors=len(self.ends),
            get_tensor_name=lambda index: list(by_name)[index],
            get_tensor_mode=lambda name: by_name[name][1],
            get_tensor_shape=lambda name: by_name[name][2],
            get_tensor_dtype=lambda name: by_name[name][3],
            create_execution_context=lambda: object() if self.memory else None,
        )


IMAGE = ("image", "in", (1, 3, 96, 96), "half")
PROBABILITY = ("output0", "out", (1, 96, 96), "float")


class TestPlanRunner:
    @pytest.fixture
    def fake(self, monkeypatch: pytest.MonkeyPatch) -> FakeTensorRt:
        made = FakeTensorRt([IMAGE, PROBABILITY])
        monkeypatch.setitem(sys.modules, "tensorrt", made)
        return made

    def test_shape_and_format_are_the_engines(self, fake: FakeTensorRt) -> None:
        runner = PlanRunner(b"plan")

        assert (runner.shape, runner.dtype) == ((1, 3, 96, 96), torch.float16)

    @pytest.mark.parametrize(
        "image",
        [
            torch.zeros(1, 3, 96, 96).half(),
            torch.zeros(1, 3, 96, 96),
            torch.zeros(1, 3, 64, 64).half(),
        ],
    )
    def test_input_of_another_kind_or_place(self, fake: FakeTensorRt, image: torch.Tensor) -> None:
        with pytest.raises(
            EngineError, match=r"takes torch.float16 \(1, 3, 96, 96\) on a GPU, not"
        ):
            PlanRunner(b"plan")(image)

    @pytest.mark.parametrize(
        ("ends", "problem"),
        [
            (None, "does not take the engine"),
            ([IMAGE], "not one input and one output"),
            ([IMAGE, PROBABILITY, ("more", "out", (1,), "float")], "not one input and one output"),
            ([IMAGE, ("output0", "out", (1, 96, 96), "half")], "of an unknown format"),
            ([("image", "in", (1, 3, 96, 96), "int"), PROBABILITY], "of an unknown format"),
        ],
    )
    def test_engine_of_another_kind(
        self, fake: FakeTensorRt, ends: list[Any] | None, problem: str
    ) -> None:
        fake.ends = ends
        with pytest.raises(EngineError, match=problem):
            PlanRunner(b"plan")

    def test_a_library_that_makes_no_object(
        self, fake: FakeTensorRt, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(_: Any) -> None:
            raise TypeError("factory function returned nullptr")

        monkeypatch.setattr(fake, "Runtime", fail)
        with pytest.raises(EngineError, match=r"cannot run here \(factory function returned"):
            PlanRunner(b"plan")

    def test_no_memory(self, fake: FakeTensorRt) -> None:
        fake.memory = False
        with pytest.raises(EngineError, match="no memory left"):
            PlanRunner(b"plan")


class TestWhatIsThere:
    @pytest.fixture
    def missing(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("torch_tensorrt", "tensorrt"):
            monkeypatch.setitem(sys.modules, name, None)

    @pytest.mark.usefixtures("missing")
    def test_not_installed(self) -> None:
        with pytest.raises(EngineError, match=r"TensorRT is not installed; see docs/gpu\.md"):
            PlanRunner(b"plan")
        with pytest.raises(EngineError, match=r"torch-tensorrt is not installed; see docs/gpu\.md"):
            tensorrt_convert.convert(torch.nn.Identity(), torch.zeros(1))

    @pytest.mark.usefixtures("missing")
    def test_model_is_not_converted(self, model: Any) -> None:
        with pytest.raises(EngineError, match="torch-tensorrt is not installed"):
            convert_model(model, "fp16", 96, device="cpu")

    def test_installed_and_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(name: str) -> None:
            raise Exception("libnvinfer.so.11: cannot open\nsecond line")

        monkeypatch.setattr(importlib, "import_module", fail)
        with pytest.raises(EngineError) as caught:
            tensorrt_here.import_module("torch_tensorrt", "torch-tensorrt")
        assert str(caught.value) == (
            "torch-tensorrt cannot be loaded (libnvinfer.so.11: cannot open); "
            "see docs/gpu.md for how to install it"
        )

    def test_installed_without_what_it_needs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(name: str) -> None:
            raise ModuleNotFoundError("no dllist", name="dllist")

        monkeypatch.setattr(importlib, "import_module", fail)
        with pytest.raises(EngineError, match="torch-tensorrt is installed without dllist"):
            tensorrt_here.import_module("torch_tensorrt", "torch-tensorrt")

    def test_versions_are_read_without_importing(self) -> None:
        versions = tensorrt_here.versions()

        assert versions["torch"] == importlib.metadata.version("torch")
        assert tensorrt_here.version_of("no-such-package") == ""

    def test_driver_that_cannot_be_asked(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(name: str) -> None:
            raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", fail)

        assert tensorrt_here.driver_version() == ""


class TestTimingCache:
    class Interpreter:
        """Takes a cache that is empty or its own."""

        def __init__(self) -> None:
            self.found: list[bytes] = []

        def _create_timing_cache(self, config: Any, path: str) -> None:
            self.found.append(Path(path).read_bytes() if Path(path).exists() else b"")
            if self.found[-1] not in (b"", b"own"):
                raise TypeError("incompatible function arguments")

    @pytest.mark.parametrize("stored", [b"own", b"cut sh", None])
    def test_a_damaged_one_is_done_without(self, stored: bytes | None, tmp_path: Path) -> None:
        path = tmp_path / "timing.cache"
        if stored is not None:
            path.write_bytes(stored)
        interpreter = self.Interpreter()
        tensorrt_convert._open_timing_cache(interpreter, None, path)

        assert interpreter.found[-1] == (b"own" if stored == b"own" else b"")
        assert path.exists() == (stored == b"own")

    def test_each_version_has_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        names = []
        for version in ("11.1.0.106", "11.2.0.1"):
            monkeypatch.setattr(tensorrt_here, "version_of", lambda *_, told=version: told)
            names.append(tensorrt_convert._timing_cache().name)
        assert names == ["timing-11.1.0.106.cache", "timing-11.2.0.1.cache"]


class TestOneBlock:
    @staticmethod
    def lowered(*names: str, beside: bool = False) -> torch.fx.GraphModule:
        """A network that a dry run divided into parts of these names."""
        root = torch.nn.Module()
        graph = torch.fx.Graph()
        value = graph.placeholder("image")
        for name in names:
            root.add_module(name, torch.fx.symbolic_trace(torch.nn.ReLU()))
            value = graph.call_module(name, (value,))
        if beside:
            value = graph.call_function(torch.ops.aten.nonzero.default, (value,))
        graph.output(value)
        return torch.fx.GraphModule(root, graph)

    def test_one(self) -> None:
        block = tensorrt_convert._only_block(self.lowered("_run_on_acc_0"))

        assert block(torch.tensor([-1.0, 1.0])).tolist() == [0.0, 1.0]

    @pytest.mark.parametrize(
        ("lowered", "problem"),
        [
            (("_run_on_acc_0", "_run_on_gpu_1", "_run_on_acc_2"), "2 blocks .*: _run_on_gpu_1"),
            (("_run_on_gpu_0",), "0 blocks for TensorRT, left to torch: _run_on_gpu_0"),
            ((), "0 blocks for TensorRT, left to torch: nothing"),
        ],
    )
    def test_several_or_none(self, lowered: tuple[str, ...], problem: str) -> None:
        with pytest.raises(EngineError, match=problem):
            tensorrt_convert._only_block(self.lowered(*lowered))

    def test_operator_left_beside(self) -> None:
        with pytest.raises(EngineError, match=r"1 blocks .*left to torch: aten\.nonzero"):
            tensorrt_convert._only_block(self.lowered("_run_on_acc_0", beside=True))
