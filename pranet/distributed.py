"""Several processes that train one network, as torchrun starts them."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import Tensor, distributed

from pranet.errors import DataError

#: Longer than any validation, for which the other processes wait.
WAIT = timedelta(hours=2)


@dataclass(frozen=True)
class Group:
    """This process among those of a run.

    Attributes:
        rank: its number, 0…size − 1; process 0 leads: it alone validates, logs and writes.
        size: how many there are.
        local_rank: its number on this machine.
    """

    rank: int = 0
    size: int = 1
    local_rank: int = 0

    @property
    def leads(self) -> bool:
        """Whether this process validates, logs and writes."""
        return self.rank == 0

    def wait(self) -> None:
        """Until all processes have come here."""
        if self.size > 1:
            distributed.barrier()

    def mean(self, value: Tensor) -> float:
        """Mean of a scalar over the processes."""
        if self.size > 1:
            distributed.all_reduce(value)
        return value.item() / self.size


ALONE = Group()


def group_of(environment: Mapping[str, str] = os.environ) -> Group:
    """The group that torchrun's variables tell of; this process alone if there are none.

    Raises:
        DataError: the variables are not numbers.
    """
    try:
        rank, size, local_rank = (
            int(environment.get(name, default))
            for name, default in (("RANK", "0"), ("WORLD_SIZE", "1"), ("LOCAL_RANK", "0"))
        )
    except ValueError as error:
        raise DataError(f"RANK, WORLD_SIZE and LOCAL_RANK are for torchrun ({error})") from error
    return Group(rank, size, local_rank)


@contextmanager
def joined(group: Group, device: str) -> Iterator[None]:
    """Inside this context the processes of the group can reach one another."""
    if group.size == 1:
        yield
        return
    on_cuda = torch.device(device).type == "cuda"
    if on_cuda:
        torch.cuda.set_device(device)
    distributed.init_process_group("nccl" if on_cuda else "gloo", timeout=WAIT)
    try:
        yield
    finally:
        distributed.destroy_process_group()


def device_of(name: str, group: Group = ALONE) -> str:
    """The device to train on; of several CUDA devices each process takes its own.

    Args:
        name: as torch names devices.

    Raises:
        DataError: no such device here.
    """
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DataError(f"device {name!r}: cpu, cuda or cuda:1 are needed") from error
    if device.type == "cpu":
        return name
    if device.type != "cuda":
        raise DataError(f"device {name!r}: only cpu and cuda are supported")
    if group.size > 1:
        device = torch.device("cuda", group.local_rank)
    if (device.index or 0) >= torch.cuda.device_count():
        raise DataError(f"device {device}: there are {torch.cuda.device_count()} CUDA devices here")
    return str(device)
