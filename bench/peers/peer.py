"""What a checkpoint system looks like to the measurements.

A peer lives in one process and one folder. `save` returns when the trainer may change its tensors, `wait` when the
tool says that the save is done; what the tool does not fsync itself, the measurement does (files.py). Checkpoints
are numbered from 0.
"""
from collections.abc import Iterable
from pathlib import Path

import torch

from workloads import Checkpoint, State


class Peer:
    versioned = False  # a store of many checkpoints, nothing overwritten; else: one file or folder for each
    imports: tuple[str, ...] = ()  # loaded before anything is measured
    can_load_one = True
    can_find_best = True
    only_stall = False  # a limit of the machine that stores nothing

    def __init__(self, root: Path, like: State):
        """`like` has the names, shapes and dtypes of a checkpoint, for tools that load into given tensors."""
        self.root, self.like = root, like
        root.mkdir(parents=True, exist_ok=True)
        self.open()

    def path(self, i: int, suffix: str = "") -> Path:
        return self.root / f"{i:04d}{suffix}"

    def open(self) -> None: ...

    def begin_saving(self, state: State) -> None:
        """Once, before the first save, as a trainer does when it starts. `state` is where the tensors will lie."""

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        raise NotImplementedError

    def wait(self) -> None: ...

    # A peer has one of these two.
    def load(self, i: int) -> State:
        """Into fresh memory."""
        targets = {name: torch.empty_like(tensor) for name, tensor in self.like.items()}
        self.restore(i, targets)
        return targets

    def restore(self, i: int, targets: State) -> None:
        """Into tensors that exist."""
        for name, tensor in self.load(i).items():
            targets[name].copy_(tensor)

    def load_one(self, i: int, name: str) -> torch.Tensor:
        raise NotImplementedError

    def best(self) -> int:
        """The checkpoint with the smallest val_loss."""
        raise NotImplementedError

    def close(self) -> None: ...


def best_of(losses: Iterable[tuple[float, int]]) -> int:
    return min(losses)[1]
