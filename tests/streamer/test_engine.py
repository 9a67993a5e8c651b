"""Engines: they agree with one another, keep their results apart, and survive their cache."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import openvino as ov
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from pranet import load_model
from pranet.checkpoint import CheckpointInfo, read_info
from pranet.errors import CheckpointError
from streamer.engine import Segmenter, base, cache, load_segmenter, openvino
from streamer.engine.choice import Choice
from streamer.engine.eager import EagerSegmenter, ImageToProbability
from streamer.engine.openvino import OpenVinoSegmenter
from streamer.errors import EngineError

REPOSITORY = Path(__file__).parents[2]
CPU_HAS_BF16 = "BF16" in openvino.CORE.get_property("CPU", "OPTIMIZATION_CAPABILITIES")

Image = NDArray[np.uint8]


@pytest.fixture(scope="module", autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def eager(checkpoint: Path) -> Segmenter:
    return load_segmenter(str(checkpoint), backend="eager")


@pytest.fixture(scope="module")
def converted(checkpoint: Path) -> ov.Model:
    """The network for OpenVINO, converted once: that takes far longer than to compile it."""
    return openvino.convert(read_info(checkpoint))


@pytest.fixture(scope="module")
def segmenter(checkpoint: Path, engine_cache: Path, converted: ov.Model) -> Iterator[Segmenter]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(openvino, "convert", lambda _: converted)
        segmenter = load_segmenter(str(checkpoint), precision="fp32", streams=2, threads=1)
    yield segmenter
    segmenter.close()


@pytest.fixture
def conversions(converted: ov.Model, monkeypatch: pytest.MonkeyPatch) -> list[CheckpointInfo]:
    """What has been converted since the test began, at no cost."""
    calls: list[CheckpointInfo] = []

    def convert(checkpoint: CheckpointInfo) -> ov.Model:
        calls.append(checkpoint)
        return converted

    monkeypatch.setattr(openvino, "convert", convert)
    return calls


@pytest.fixture
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("PRANET_STREAM_CACHE", str(folder))
    return folder


def images(count: int) -> list[Image]:
    rng = np.random.default_rng(9)
    return [rng.integers(0, 256, (96, 96, 3), dtype=np.uint8) for _ in range(count)]


class TestNetwork:
    def test_is_normalisation_network_and_sigmoid(self, checkpoint: Path, image: Image) -> None:
        model = load_model(checkpoint)
        pixels = torch.from_numpy(image).permute(2, 0, 1)[None] / 255
        mean, std = (
            torch.tensor(values)[:, None, None] for values in (model.config.mean, model.config.std)
        )
        with torch.inference_mode():
            expected = 1 / (1 + torch.exp(-model((pixels - mean) / std)[0, 0]))
            found = ImageToProbability(model)(torch.from_numpy(image)[None])[0]

        torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)

    @pytest.mark.parametrize("level", [-9.0, 0.0, 9.0])
    def test_probability_is_not_stretched_to_the_pictures_extremes(self, level: float) -> None:
        """A polyp-free frame has low logits everywhere and must stay empty."""
        logits = level + 0.1 * torch.rand((1, 1, 32, 32), generator=torch.manual_seed(0))

        class Constant(torch.nn.Module):
            config = SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return logits

        image = torch.zeros((1, 32, 32, 3), dtype=torch.uint8)
        found = ImageToProbability(Constant())(image)

        torch.testing.assert_close(found, torch.sigmoid(logits[:, 0]))

    def test_first_class_is_taken(self) -> None:
        class TwoClasses(torch.nn.Module):
            config = SimpleNamespace(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                return torch.stack([image[:, 0], -image[:, 0]], dim=1)

        white = torch.full((1, 32, 32, 3), 255, dtype=torch.uint8)

        assert ImageToProbability(TwoClasses())(white).min() > 0.5

    def test_order_of_the_colors(self) -> None:
        """The network gets RGB: of a red picture, its first channel is the high one."""
        seen = []

        class Watcher(torch.nn.Module):
            config = SimpleNamespace(mean=(0.1, 0.2, 0.3), std=(0.5, 0.25, 1.0))

            def forward(self, image: torch.Tensor) -> torch.Tensor:
                seen.append(image[0, :, 0, 0])
                return image

        red = torch.zeros((1, 32, 32, 3), dtype=torch.uint8)
        red[..., 0] = 255
        ImageToProbability(Watcher())(red)

        torch.testing.assert_close(seen[0], torch.tensor([1.8, -0.8, -0.3]))


class TestAgreement:
    def test_probabilities_vary_enough_to_compare(self, eager: Segmenter, image: Image) -> None:
        probability = eager.submit(image).result()

        assert probability.shape == (96, 96)
        assert probability.dtype == np.float32
        assert probability.std() > 0.1
        assert 0 <= probability.min() < probability.max() <= 1

    def test_openvino_f32_is_the_reference(self, eager: Segmenter, segmenter: Segmenter) -> None:
        for image in (*images(3), np.zeros((96, 96, 3), np.uint8)):
            expected, found = eager.submit(image).result(), segmenter.submit(image).result()

            assert found.dtype == np.float32
            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)

    @pytest.mark.skipif(not CPU_HAS_BF16, reason="this CPU has no bf16 instructions")
    def test_bf16_is_near(
        self,
        checkpoint: Path,
        engine_cache: Path,
        conversions: list[CheckpointInfo],
        eager: Segmenter,
        image: Image,
    ) -> None:
        segmenter = load_segmenter(str(checkpoint), precision="bf16", streams=1, threads=1)
        apart = np.abs(segmenter.submit(image).result() - eager.submit(image).result())
        segmenter.close()

        assert 0 < apart.max() <= 0.1
        assert apart.mean() <= 0.02

    def test_info_says_what_runs(self, segmenter: Segmenter, checkpoint: Path) -> None:
        info = segmenter.info

        assert (info.model, info.backend, info.precision) == ("pranet_v2_lite0", "openvino", "fp32")
        assert (info.input_size, info.streams, info.threads) == (96, 2, 1)
        assert info.checkpoint_sha256 == read_info(checkpoint).sha256
        assert str(info) == "pranet_v2_lite0 on openvino fp32"


class TestResults:
    def test_same_input_same_bits(self, segmenter: Segmenter, image: Image) -> None:
        """On either of the two requests, and with other frames in between."""
        first = segmenter.submit(image).result()
        for other in images(3):
            segmenter.submit(other).result()
            np.testing.assert_array_equal(segmenter.submit(image).result(), first)

    def test_more_frames_than_places_come_back_right(
        self, eager: Segmenter, segmenter: Segmenter
    ) -> None:
        inputs = images(7)
        pending = [segmenter.submit(image) for image in inputs]
        # Asked for in another order than submitted.
        results = [pending[index].result() for index in (6, 2, 0, 1, 5, 4, 3)]
        for index, found in zip((6, 2, 0, 1, 5, 4, 3), results, strict=True):
            expected = eager.submit(inputs[index]).result()

            np.testing.assert_allclose(found, expected, rtol=0, atol=1e-3)

    @pytest.mark.parametrize("engine", ["eager", "segmenter"])
    def test_result_is_the_callers_own(
        self, engine: str, image: Image, request: pytest.FixtureRequest
    ) -> None:
        segmenter: Segmenter = request.getfixturevalue(engine)
        pending = segmenter.submit(image)
        kept = pending.result()
        before = kept.copy()
        for other in images(4):
            assert not np.shares_memory(segmenter.submit(other).result(), kept)

        np.testing.assert_array_equal(kept, before)
        assert pending.result() is kept
        kept[:] = 0.0

    def test_close_waits_for_what_runs_and_may_come_twice(
        self, checkpoint: Path, engine_cache: Path, segmenter: Segmenter, image: Image
    ) -> None:
        other = load_segmenter(str(checkpoint), precision="fp32", streams=2, threads=1)
        pending = other.submit(image)
        other.close()
        other.close()

        np.testing.assert_array_equal(pending.result(), segmenter.submit(image).result())

    def test_failure_of_the_engine_is_an_engine_error(self, image: Image) -> None:
        def fail() -> None:
            raise RuntimeError("out of memory")

        request: Any = SimpleNamespace(start_async=lambda *_, **__: None, wait=fail)
        with pytest.raises(EngineError, match="out of memory"):
            openvino._Running(request, image).result()


class TestChoice:
    def test_unknown_backend(self, checkpoint: Path) -> None:
        with pytest.raises(EngineError, match=r"unknown backend 'tpu'; known: auto, openvino"):
            load_segmenter(str(checkpoint), backend="tpu")  # type: ignore[arg-type]

    @pytest.mark.parametrize("backend", ["openvino", "eager"])
    def test_unknown_precision(self, checkpoint: Path, backend: Any) -> None:
        with pytest.raises(EngineError, match="unknown precision 'int4'; known: auto, fp32"):
            load_segmenter(str(checkpoint), backend=backend, precision="int4")  # type: ignore[arg-type]

    @pytest.mark.parametrize(
        ("failing", "precision", "loaded"),
        [
            ("", "auto", "tensorrt"),
            ("tensorrt", "auto", "cuda"),
            ("tensorrt cuda", "auto", "openvino"),
            ("tensorrt cuda", "fp32", "openvino"),
            ("tensorrt", "fp16", "cuda"),
            ("tensorrt cuda", "fp16", "cuda failed"),
            # Which the CPU has, too, and CUDA has not.
            ("tensorrt", "int8", "openvino"),
            # No other backend has it, and what this one says is what to do.
            ("tensorrt", "fp8", "tensorrt failed"),
        ],
    )
    def test_auto_goes_on_where_a_backend_cannot_be_used(
        self,
        checkpoint: Path,
        monkeypatch: pytest.MonkeyPatch,
        failing: str,
        precision: Any,
        loaded: str,
    ) -> None:
        def load(_: Any, backend: str, *__: Any) -> Any:
            if backend in failing.split():
                raise EngineError(f"{backend} failed")
            return backend

        monkeypatch.setattr(base, "_load", load)
        monkeypatch.setattr(base, "choose_backend", lambda *_: Choice("tensorrt", "built"))
        if "failed" in loaded:
            with pytest.raises(EngineError, match=f"^{loaded}$"):
                load_segmenter(str(checkpoint), precision=precision)
        else:
            assert load_segmenter(str(checkpoint), precision=precision) == loaded

    def test_eager_has_no_bf16(self, checkpoint: Path) -> None:
        with pytest.raises(EngineError, match="--backend openvino"):
            load_segmenter(str(checkpoint), backend="eager", precision="bf16")

    def test_missing_checkpoint(self, tmp_path: Path) -> None:
        with pytest.raises(CheckpointError, match="no checkpoint"):
            load_segmenter(str(tmp_path / "nothing.safetensors"))

    @pytest.mark.parametrize(("capable", "expected"), [("FP32 BF16", "bf16"), ("FP32", "fp32")])
    def test_auto_precision_is_bf16_where_the_cpu_has_it(
        self, capable: str, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        core = SimpleNamespace(get_property=lambda *_: capable.split())
        monkeypatch.setattr(openvino, "CORE", core)

        assert openvino._choose_precision("auto", None) == expected

    @pytest.mark.parametrize(
        ("machine", "capable", "expected"),
        [
            ("x86_64", "FP32 INT8", "int8"),
            ("AMD64", "FP32 INT8 BF16", "int8"),
            ("x86_64", "FP32", "fp32"),
            ("aarch64", "FP32 INT8", "fp32"),
        ],
    )
    def test_auto_precision_is_int8_where_it_is_known_to_be_faster(
        self, machine: str, capable: str, expected: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        core = SimpleNamespace(get_property=lambda *_: capable.split())
        monkeypatch.setattr(openvino, "CORE", core)
        monkeypatch.setattr(openvino, "machine", lambda: machine)
        made: Any = object()
        assert openvino._choose_precision("auto", made) == expected

    def test_what_is_not_in_8_bits_stays_as_exact_as_it_was_when_accepted(self) -> None:
        assert [openvino._hint(each) for each in ("int8", "fp32", "bf16")] == ["f32", "f32", "bf16"]

    def test_int8_is_refused_where_there_is_no_such_form(self, checkpoint: Path) -> None:
        with pytest.raises(EngineError, match="`pranet-calibrate precision` makes one"):
            load_segmenter(str(checkpoint), precision="int8")

    def test_bf16_is_refused_where_the_cpu_lacks_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        core = SimpleNamespace(get_property=lambda *_: ["FP32"])
        monkeypatch.setattr(openvino, "CORE", core)
        with pytest.raises(EngineError, match="--precision fp32"):
            openvino._choose_precision("bf16", None)


class TestCachedEngine:
    def load(self, checkpoint: Path) -> Segmenter:
        return load_segmenter(str(checkpoint), precision="fp32", streams=2, threads=1)

    def test_second_load_needs_neither_torch_nor_the_conversion(
        self, checkpoint: Path, engine_cache: Path, segmenter: Segmenter, image: Image
    ) -> None:
        script = (
            "import sys, numpy as np\n"
            "from streamer.engine import load_segmenter\n"
            "engine = load_segmenter(sys.argv[1], precision='fp32', streams=2, threads=1)\n"
            "image = np.random.default_rng(1).integers(0, 256, (96, 96, 3), dtype=np.uint8)\n"
            "np.save(sys.argv[2], engine.submit(image).result())\n"
            "assert 'torch' not in sys.modules, 'torch was imported'\n"
        )
        saved = engine_cache / "result.npy"
        before = sorted((engine_cache / "openvino").iterdir())
        command = [sys.executable, "-c", script, str(checkpoint), str(saved)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

        assert done.returncode == 0, done.stderr
        assert sorted((engine_cache / "openvino").iterdir()) == before
        # Same input, same checkpoint, same backend: the same mask in another process too.
        np.testing.assert_array_equal(np.load(saved), segmenter.submit(image).result())

    def test_signals_are_taken_after_engines_have_gone(
        self, checkpoint: Path, segmenter: Segmenter
    ) -> None:
        """They go in the order in which they came; see `openvino.CORE`."""
        script = (
            "import gc, signal, sys\n"
            "from streamer.engine import load_segmenter\n"
            "def load():\n"
            "    return load_segmenter(sys.argv[1], precision='fp32', streams=2, threads=1)\n"
            "engines = [load(), load()]\n"
            "while engines:\n"
            "    engines.pop(0).close()\n"
            "    gc.collect()\n"
            "signal.signal(signal.SIGINT, lambda *_: print('taken'))\n"
            "signal.raise_signal(signal.SIGINT)\n"
        )
        command = [sys.executable, "-c", script, str(checkpoint)]
        done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)

        assert (done.returncode, done.stdout) == (0, "taken\n"), done.stderr

    @pytest.mark.parametrize(
        "damage",
        [
            lambda blob: b"",
            lambda blob: blob[: len(blob) // 2],
            lambda blob: bytes(len(blob)),
            # It would load, and compute something else.
            lambda blob: blob[: len(blob) // 2] + bytes(4096) + blob[len(blob) // 2 + 4096 :],
        ],
        ids=["empty", "cut off", "zeros", "hole"],
    )
    def test_damaged_blob_is_replaced(
        self,
        damage: Callable[[bytes], bytes],
        checkpoint: Path,
        own_cache: Path,
        engine_cache: Path,
        segmenter: Segmenter,
        conversions: list[CheckpointInfo],
        image: Image,
    ) -> None:
        kept = self.blob_of(checkpoint, engine_cache)
        path = own_cache / "openvino" / kept.name
        path.parent.mkdir(parents=True)
        path.write_bytes(damage(kept.read_bytes()))
        found = self.load(checkpoint).submit(image).result()

        assert len(conversions) == 1
        np.testing.assert_allclose(found, segmenter.submit(image).result(), rtol=0, atol=1e-5)
        assert cache.read(path) is not None
        self.load(checkpoint)
        assert len(conversions) == 1

    def blob_of(self, checkpoint: Path, folder: Path) -> Path:
        """The file that a load reads."""
        asked: list[Path] = []
        original = cache.read

        def read(path: Path) -> bytes | None:
            asked.append(path)
            return original(path)

        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PRANET_STREAM_CACHE", str(folder))
            patch.setattr(cache, "read", read)
            self.load(checkpoint)
        (path,) = asked
        return path

    def test_blob_of_another_kind_is_replaced(
        self,
        checkpoint: Path,
        own_cache: Path,
        engine_cache: Path,
        segmenter: Segmenter,
        conversions: list[CheckpointInfo],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        kept = self.blob_of(checkpoint, engine_cache)
        path = own_cache / "openvino" / kept.name
        assert cache.write(path, b"not an engine, but whole")
        self.load(checkpoint)

        assert len(conversions) == 1
        assert "cannot be used; compiling anew" in caplog.text
        assert (cache.read(path) or b"")[:20] != b"not an engine, but w"

    def test_folder_that_cannot_be_written_costs_time_only(
        self,
        checkpoint: Path,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        conversions: list[CheckpointInfo],
        segmenter: Segmenter,
        image: Image,
    ) -> None:
        blocked = tmp_path / "file"
        blocked.write_bytes(b"")
        monkeypatch.setenv("PRANET_STREAM_CACHE", str(blocked / "cache"))
        found = self.load(checkpoint).submit(image).result()

        assert len(conversions) == 1
        assert blocked.read_bytes() == b""
        np.testing.assert_allclose(found, segmenter.submit(image).result(), rtol=0, atol=1e-5)

    def test_every_fact_has_a_blob_of_its_own(
        self, checkpoint: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Whatever a compiled engine depends on must not be served another one's blob."""
        properties = {"FULL_DEVICE_NAME": "a CPU", "OPTIMIZATION_CAPABILITIES": ["FP32"]}

        class Exported:
            def export_model(self) -> Any:
                return SimpleNamespace(getvalue=lambda: b"engine")

        core = SimpleNamespace(
            get_property=lambda _, name: properties[name],
            compile_model=lambda *_: Exported(),
            import_model=lambda *_: "cached",
        )
        monkeypatch.setattr(openvino, "CORE", core)
        monkeypatch.setattr(openvino, "convert", lambda _: None)
        monkeypatch.setattr(openvino, "enlarge_by_products", lambda _: None)
        info = read_info(checkpoint)
        settings = {"INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "2"}

        def compiled_anew(info: CheckpointInfo = info, **changes: str) -> bool:
            return bool(openvino._compile(info, settings | changes) != "cached")

        assert compiled_anew()
        assert not compiled_anew()
        assert compiled_anew(NUM_STREAMS="1")
        assert compiled_anew(INFERENCE_PRECISION_HINT="bf16")
        assert compiled_anew(replace(info, sha256="0" * 64))
        assert compiled_anew(replace(info, config=info.config | {"input_size": 128}))
        properties["FULL_DEVICE_NAME"] = "another CPU"
        assert compiled_anew()
        properties["OPTIMIZATION_CAPABILITIES"] = ["FP32", "BF16"]
        assert compiled_anew()
        monkeypatch.setattr(ov, "get_version", lambda: "another release")
        assert compiled_anew()
        assert not compiled_anew()
        # Where the checkpoint lies does not matter.
        assert not compiled_anew(replace(info, path=Path("elsewhere")))


class TestCacheFiles:
    def test_folder_is_chosen_by_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PRANET_STREAM_CACHE", "/chosen")
        monkeypatch.setenv("XDG_CACHE_HOME", "/xdg")
        assert cache.cache_folder() == Path("/chosen")
        monkeypatch.delenv("PRANET_STREAM_CACHE")
        assert cache.cache_folder() == Path("/xdg/pranet-stream")
        monkeypatch.delenv("XDG_CACHE_HOME")
        monkeypatch.setenv("HOME", "/home/somebody")
        assert cache.cache_folder() == Path("/home/somebody/.cache/pranet-stream")

    @given(st.binary(max_size=200))
    def test_round_trip(self, tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
        path = tmp_path_factory.getbasetemp() / "round" / "trip.blob"

        assert cache.write(path, content)
        assert cache.read(path) == content
        assert [file.name for file in path.parent.iterdir()] == ["trip.blob"]

    @given(st.binary(min_size=1, max_size=60), st.data())
    def test_damage_anywhere_is_noticed(
        self, tmp_path_factory: pytest.TempPathFactory, content: bytes, data: st.DataObject
    ) -> None:
        path = tmp_path_factory.getbasetemp() / "damaged.blob"
        cache.write(path, content)
        stored = bytearray(path.read_bytes())
        place = data.draw(st.integers(0, len(stored) - 1))
        if data.draw(st.booleans()):
            del stored[place:]
        else:
            stored[place] ^= data.draw(st.integers(1, 255))
        path.write_bytes(stored)

        assert cache.read(path) is None

    def test_nothing_there(self, tmp_path: Path) -> None:
        assert cache.read(tmp_path / "nothing.blob") is None
        assert cache.read(tmp_path) is None

    def test_half_written_file_is_not_seen(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = tmp_path / "engine.blob"
        assert cache.write(path, b"old")
        write_bytes = Path.write_bytes

        def full_disk(file: Path, content: bytes) -> int:
            write_bytes(file, content[: len(content) // 2])
            raise OSError("no space left on device")

        monkeypatch.setattr(Path, "write_bytes", full_disk)

        assert not cache.write(path, b"new and longer")
        assert cache.read(path) == b"old"
        assert os.listdir(tmp_path) == ["engine.blob"]

    @given(
        st.dictionaries(st.sampled_from("abcd"), st.text("xy", max_size=2), max_size=4),
        st.dictionaries(st.sampled_from("abcd"), st.text("xy", max_size=2), max_size=4),
    )
    def test_key_names_the_facts_and_not_their_order(
        self, facts: dict[str, str], others: dict[str, str]
    ) -> None:
        again = dict(reversed(facts.items()))

        assert cache.cache_key(facts) == cache.cache_key(again)
        assert (cache.cache_key(facts) == cache.cache_key(others)) == (facts == others)


def test_defaults_follow_the_cores(
    checkpoint: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One stream for each core, at most four, and all cores' threads."""
    asked = []

    class StopError(Exception):
        pass

    def stop(checkpoint: object, settings: dict[str, str], _: object) -> None:
        asked.append((settings["NUM_STREAMS"], settings["INFERENCE_NUM_THREADS"]))
        raise StopError

    monkeypatch.setattr(openvino, "_compile", stop)
    for cores in (1, 2, 16):
        monkeypatch.setattr(openvino, "usable_cores", lambda cores=cores: cores)
        with pytest.raises(StopError):
            OpenVinoSegmenter(read_info(checkpoint))

    assert asked == [("1", "1"), ("2", "2"), ("4", "16")]


def test_eager_takes_the_number_of_threads(checkpoint: Path) -> None:
    before = torch.get_num_threads()
    try:
        assert EagerSegmenter(read_info(checkpoint), threads=1).info.threads == 1
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)
