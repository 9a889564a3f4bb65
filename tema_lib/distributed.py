"""Several processes, on one or more hosts, that train and rank with one model.

    torchrun --nproc-per-node 2 -m tema_lib train tema
    accelerate launch --multi_gpu --num_processes 2 -m tema_lib train tema

Each process holds the whole model and data and takes a share of every batch; gradients are summed,
so that a step is that of one process with the whole batch, where losses are means over targets (a
contrastive loss compares users of one share only).  Of the test cases each process ranks a share.
Nothing here does anything in a process that is alone.  Status: ours, on torch.distributed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar, cast

import torch
import torch.distributed as group
from torch import Tensor

from tema_lib.encoders.device import best_device

Made = TypeVar("Made")


def join() -> None:
    """Join the other processes, where a launcher has started several (its environment says so).

    With GPUs each process takes the one of its number on this host.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) < 2 or group.is_initialized():
        return
    if best_device().type == "cuda":
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
        group.init_process_group("nccl")
    else:
        group.init_process_group("gloo")


def leave() -> None:
    """Leave the other processes, when all have done their work."""
    if group.is_initialized():
        group.destroy_process_group()


def rank() -> int:
    """The number of this process, from 0."""
    return group.get_rank() if group.is_initialized() else 0


def count() -> int:
    """How many processes there are."""
    return group.get_world_size() if group.is_initialized() else 1


def share(rows: Tensor) -> Tensor:
    """This process's share of the rows of a tensor; together the shares are all rows."""
    return rows[rank() :: count()]


def sum_gradients(parameters: Sequence[Tensor]) -> None:
    """Replace every gradient by its sum over the processes.

    A parameter without a gradient in any process keeps none: an optimizer skips it.
    """
    device = parameters[0].device
    known = torch.tensor([float(p.grad is not None) for p in parameters], device=device)
    group.all_reduce(known)
    learning = [p for p, processes in zip(parameters, known.tolist()) if processes]
    flat = torch.cat(
        [(torch.zeros_like(p) if p.grad is None else p.grad).flatten() for p in learning]
    )
    group.all_reduce(flat)
    for parameter, gradient in zip(learning, flat.split([p.numel() for p in learning])):
        parameter.grad = gradient.view_as(parameter).clone()


def gathered(own: list[Made]) -> list[Made]:
    """The lists of all processes, one behind the other, in each of them."""
    if count() == 1:
        return own
    lists: list[list[Made]] = [[] for _ in range(count())]
    group.all_gather_object(lists, own)
    return [one for several in lists for one in several]


def from_first(make: Callable[[], Made]) -> Made:
    """What the first process makes, in each of them: only its host may have the file."""
    if count() == 1:
        return make()
    made = [make()] if rank() == 0 else [None]
    group.broadcast_object_list(made)
    return cast(Made, made[0])


@contextmanager
def first_alone() -> Iterator[None]:
    """The first process runs the block before the others, who then find what it has made."""
    if rank():
        group.barrier()
    yield
    if count() > 1 and not rank():
        group.barrier()
