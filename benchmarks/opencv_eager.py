"""What research code does: OpenCV reads and draws, PyTorch runs the network as it is.

As in the published test script of PraNet, logits are brought to the picture's size by PyTorch.
"""

import torch
import torch.nn.functional as F
from opencv_loop import plain_loop
from turn import THRESHOLD, Bgr, Mask, Preparation, Run, Task, take_turn

import pranet


def prepare(task: Task) -> Run:
    """Load the network."""
    model = pranet.load_model(task.model)
    preparation = Preparation.of(task.model)

    @torch.inference_mode()
    def segment(picture: Bgr) -> Mask:
        logits = model(torch.from_numpy(preparation.input_of(picture)))
        full = F.interpolate(logits, size=picture.shape[:2], mode="bilinear", align_corners=False)
        inside = full.sigmoid()[0, 0] >= THRESHOLD
        return inside.to(torch.uint8).numpy()

    return plain_loop(task, segment)


if __name__ == "__main__":
    take_turn(prepare, ("torch", "opencv-python-headless", "av"))
