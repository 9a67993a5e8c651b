"""`pranet-stream --doctor`: what works on this machine, and how to add what does not."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import av
import psutil
from av.codec.hwaccel import hwdevices_available

from pranet.checkpoint import DEFAULT_MODEL, read_info
from streamer.cli.options import defaults_of
from streamer.cli.outputs import why_no_window
from streamer.cores import usable_cores
from streamer.engine.cache import cache_folder
from streamer.engine.choice import choose_backend
from streamer.errors import StreamError
from streamer.settings import load_settings, proposed_path, settings_path
from streamer.sinks.nvenc import CODEC as NVENC
from streamer.sinks.nvenc import why_no_nvenc
from streamer.sources.devices import list_devices

_DECODERS = ("h264", "hevc", "vp9", "av1", "mpeg2video", "mjpeg", "rawvideo")
#: FFmpeg's formats for devices by system, and those for everywhere.
_DEVICE_FORMATS = {
    "linux": {"v4l2": "capture devices", "x11grab": "screens"},
    "win32": {"dshow": "capture devices"},
    "darwin": {"avfoundation": "capture devices"},
}
_DEMUXERS = {
    "rtsp": "network cameras",
    "mpegts": "UDP and TCP streams",
    "hls": "HTTP live streams",
    "lavfi": "test patterns",
}
_NEW_AV = "pip install --force-reinstall 'av>=18.1,<19'"
#: What the FFmpeg in PyAV's wheels leaves out.
_OWN_FFMPEG = "pip install --no-binary av 'av>=18.1,<19', with an FFmpeg of your own that has it"
_GIB = 2**30


@dataclass(frozen=True)
class Finding:
    """One line of the doctor.

    Attributes:
        part: what was looked at.
        works: yes, no, or None for a mere fact.
        found: what was found.
        remedy: what adds it, where it is missing.
    """

    part: str
    works: bool | None
    found: str
    remedy: str = ""

    def __str__(self) -> str:
        sign = {True: "ok", False: "--", None: "  "}[self.works]
        line = f"{sign}  {self.part:10} {self.found}"
        return f"{line}\n{'':14} to add it: {self.remedy}" if self.remedy else line


def examine() -> Iterator[Finding]:
    """All findings, one after the other; a part that cannot even be looked at is a finding."""
    for part, look in _LOOKS.items():
        try:
            yield from look()
        except StreamError as error:
            yield Finding(part, False, str(error))
        except ImportError as error:
            remedy = f"pip install {error.name}" if error.name else ""
            yield Finding(part, False, f"cannot be loaded ({error})", remedy)
        except Exception as error:
            yield Finding(part, False, f"cannot be examined ({type(error).__name__}: {error})")


def _machine() -> Iterator[Finding]:
    memory_gib = psutil.virtual_memory().total / _GIB
    yield Finding(
        "machine",
        None,
        f"{platform.system()} {platform.release()}, Python {platform.python_version()}, "
        f"{usable_cores()} cores to use, {memory_gib:.0f} GiB",
    )


def _openvino() -> Iterator[Finding]:
    from streamer.engine.openvino import describe_device

    name, capabilities = describe_device()
    yield Finding("openvino", True, f"{name}: {', '.join(sorted(capabilities))}")


def _gpu() -> Iterator[Finding]:
    tool = shutil.which("nvidia-smi")
    if tool is None:
        # Nothing to add where there is no card: the CPU engine needs none.
        yield Finding("gpu", None, "no NVIDIA driver; the CPU engine is used")
        return
    query = [tool, "--query-gpu=name,memory.total,driver_version", "--format=csv,noheader"]
    answer = subprocess.run(query, capture_output=True, text=True, timeout=20, check=False)
    lines = answer.stdout.strip().splitlines()
    if answer.returncode or not lines:
        yield Finding("gpu", False, "the NVIDIA driver does not answer", "nvidia-smi says why")
    for line in lines:
        yield Finding("gpu", True, line)
    yield from _cuda()
    has = importlib.util.find_spec("torch_tensorrt") is not None
    remedy = "" if has else "pip install 'pranet-stream[tensorrt]'"
    yield Finding("tensorrt", has, "installed" if has else "not installed", remedy)


def _cuda() -> Iterator[Finding]:
    import torch

    if torch.cuda.is_available():
        yield Finding("cuda", True, f"PyTorch {torch.__version__}")
        has = "cuda" in hwdevices_available()
        yield Finding(
            "nvdec", has, "FFmpeg can ask for it (--decode gpu)", "" if has else _OWN_FFMPEG
        )
        yield _nvenc()
    else:
        remedy = "https://pytorch.org/get-started/locally names the build for the driver"
        yield Finding("cuda", False, f"PyTorch {torch.__version__} cannot use the GPU", remedy)


def _nvenc() -> Finding:
    if not _has_codec(NVENC, "w"):
        return Finding("nvenc", False, "this FFmpeg has none (--encoder gpu)", _OWN_FFMPEG)
    missing = why_no_nvenc()
    # Nothing to add where the GPU has no such engine.
    return Finding("nvenc", None if missing else True, missing or "encodes H.264 (--encoder gpu)")


def _model() -> Iterator[Finding]:
    checkpoint = read_info(DEFAULT_MODEL)
    yield Finding("model", True, f"{DEFAULT_MODEL}, SHA-256 {checkpoint.sha256[:16]}…")
    yield Finding("engine", None, f"--backend auto takes {choose_backend(checkpoint)}")


def _codecs() -> Iterator[Finding]:
    decoders = [name for name in _DECODERS if _has_codec(name, "r")]
    complete = len(decoders) == len(_DECODERS)
    yield Finding("decoders", complete, ", ".join(decoders), "" if complete else _NEW_AV)
    for name, use in (("libx264", "overlay video"), ("ffv1", "masks")):
        has = _has_codec(name, "w")
        yield Finding("encoder", has, f"{name} ({use})", "" if has else _NEW_AV)


def _has_codec(name: str, mode: Literal["r", "w"]) -> bool:
    try:
        av.Codec(name, mode)
    except ValueError:
        return False
    return True


def _inputs() -> Iterator[Finding]:
    # One format may have several names, as in "video4linux2,v4l2".
    known = {name for names in av.formats_available for name in names.split(",")}
    for name, use in (_DEVICE_FORMATS.get(sys.platform, {}) | _DEMUXERS).items():
        yield Finding("input", name in known, f"{name} ({use})", "" if name in known else _NEW_AV)
    yield _srt()


def _srt() -> Finding:
    """Whether the FFmpeg here speaks SRT; asked with an address that nothing can be sent to."""
    try:
        av.open("srt://", format="mpegts", timeout=0.2).close()
    except av.ProtocolNotFoundError:
        return Finding("input", False, "srt (SRT streams)", _OWN_FFMPEG)
    except av.FFmpegError:
        pass
    return Finding("input", True, "srt (SRT streams)")


def _devices() -> Iterator[Finding]:
    devices = list_devices()
    for device in devices:
        if os.access(device.path, os.R_OK | os.W_OK):
            yield Finding("capture", True, str(device))
        else:
            remedy = "sudo usermod -aG video $USER, then log in again"
            yield Finding("capture", False, f"{device} may not be used by you", remedy)
    if sys.platform != "linux":
        yield Finding("capture", None, "devices are listed on Linux only")
    elif not devices:
        yield Finding("capture", False, "none", "connect one; it appears as /dev/video0")


def _screen() -> Iterator[Finding]:
    import cv2

    toolkit = re.search(r"GUI:\s+(\w+)", cv2.getBuildInformation())
    missing = why_no_window()
    if toolkit is None or toolkit[1] == "NONE":
        remedy = "pip uninstall opencv-python-headless; pip install --force-reinstall opencv-python"
        yield Finding("window", False, "an OpenCV without windows", remedy)
    elif missing:
        yield Finding("window", False, missing, "export DISPLAY=:0 on a desktop, or --preview 8000")
    else:
        yield Finding("window", True, f"{toolkit[1]} (--display)")


def _settings() -> Iterator[Finding]:
    path = settings_path()
    if path is None:
        yield Finding("settings", None, f"no file; it would be {proposed_path()}")
        return
    settings = load_settings(path)
    defaults_of(settings)
    names = ", ".join(settings.sources) or "no sources"
    yield Finding("settings", True, f"{path}: {names}")


def _folders() -> Iterator[Finding]:
    folder = cache_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    writable = os.access(nearest, os.W_OK)
    remedy = "" if writable else "set PRANET_STREAM_CACHE to a folder of yours"
    yield Finding("cache", writable, str(folder), remedy)
    free_gib = shutil.disk_usage(Path.cwd()).free / _GIB
    yield Finding("disk", None, f"{free_gib:.0f} GiB free here")


_LOOKS: dict[str, Callable[[], Iterator[Finding]]] = {
    "machine": _machine,
    "openvino": _openvino,
    "gpu": _gpu,
    "model": _model,
    "codecs": _codecs,
    "inputs": _inputs,
    "capture": _devices,
    "window": _screen,
    "settings": _settings,
    "folders": _folders,
}
