"""torch.distributed.checkpoint: a folder for each checkpoint."""
import logging
import warnings
from pathlib import Path

import torch

from peer import Peer, best_of
from workloads import Checkpoint, State


class Dcp(Peer):
    """torch.distributed.checkpoint, in one process."""

    imports = ("torch.distributed.checkpoint",)

    def open(self) -> None:
        import torch.distributed.checkpoint as dcp
        warnings.filterwarnings("ignore")
        logging.disable(logging.WARNING)
        self.dcp = dcp

    def content(self, checkpoint: Checkpoint) -> dict:
        return {"state": checkpoint.state, "meta": {"val_loss": checkpoint.val_loss}}

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        self.dcp.save(self.content(checkpoint), checkpoint_id=self.path(i), no_dist=True)

    def restore(self, i: int, targets: State) -> None:
        self.dcp.load({"state": targets}, checkpoint_id=self.path(i), no_dist=True)

    def load_one(self, i: int, name: str) -> torch.Tensor:
        target = torch.empty_like(self.like[name])
        self.restore(i, {name: target})
        return target

    def best(self) -> int:
        def loss(path: Path) -> float:
            content = {"meta": {"val_loss": 0.0}}
            self.dcp.load(content, checkpoint_id=path, no_dist=True)
            return content["meta"]["val_loss"]
        return best_of((loss(path), int(path.name)) for path in self.root.iterdir())


class DcpAsync(Dcp):
    """The same with async_save, which allows one save in flight."""

    def open(self) -> None:
        super().open()
        self.in_flight = None

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        self.wait()
        self.in_flight = self.dcp.async_save(self.content(checkpoint), checkpoint_id=self.path(i), no_dist=True)

    def wait(self) -> None:
        if self.in_flight is not None:
            self.in_flight.result()
            self.in_flight = None
