"""Nothing goes to the network, and nothing listens, unless a user asks for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Makes a small clip and a small checkpoint, then runs the command on them from a cold cache. Every
# attempt to reach the network, from any library, ends the process.
SCRIPT = """
import os, sys
from pathlib import Path

def refuse(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo", "socket.bind", "socket.sendto", "os.fork"):
        sys.stderr.write(f"reached for the network: {event} {arguments}\\n")
        os._exit(66)

sys.addaudithook(refuse)
folder = Path(sys.argv[1])
import av, numpy as np, pranet
pranet.save_model(pranet.build_model("pranet_v2_lite0", input_size=64), folder / "m.safetensors")
with av.open(str(folder / "clip.mp4"), "w") as container:
    stream = container.add_stream("libx264", rate=25)
    stream.width = stream.height = 64
    for level in range(5):
        pixels = np.full((64, 64, 3), 40 * level, np.uint8)
        container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels)))
    container.mux(stream.encode(None))
from streamer.cli import main
outputs = ["--output", "o.mp4", "--masks", "m.mkv", "--events", "e.jsonl", "--report", "r.json"]
os.chdir(folder)
sys.argv = ["pranet-stream", "--source", "clip.mp4", "--model", "m.safetensors",
            "--backend", sys.argv[2], *outputs]
main()
"""


@pytest.mark.parametrize("backend", ["openvino", "eager"])
def test_a_run_never_reaches_for_the_network(backend: str, tmp_path: Path) -> None:
    # Libraries that report their use keep quiet in CI; this must hold on a user's machine.
    quiet_in = ("CI", "TF_BUILD", "JENKINS_URL")
    environment = {name: value for name, value in os.environ.items() if name not in quiet_in}
    environment |= {"HOME": str(tmp_path), "PRANET_STREAM_CACHE": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path), backend],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "r.json").stat().st_size > 0
