"""ckpstore behind the calls of peers.py, and the limits of memory that its stalls are held against."""
from pathlib import Path

import torch

import tensors
from library import Library
from peer import Peer
from workloads import Checkpoint, State

RUN = "bench"
THREADS = 2  # of the limits


class Ckpstore(Peer):
    """Driven through the C++ API. Whatever reads opens the store first, within the measured time."""

    versioned = True
    compression = "balanced"
    synchronous = False
    library: Library  # set by use()

    def open(self) -> None:
        self.store = str(self.root / "store")
        self.trainer = None

    def begin_saving(self, state: State) -> None:
        self.described = tensors.described(state)
        self.trainer = self.library.start(self.store, RUN, self.compression, self.synchronous)

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        self.trainer.save(self.described, i + 1, checkpoint.val_loss)

    def wait(self) -> None:
        self.trainer.wait()

    def restore(self, i: int, targets: State) -> None:
        self.library.load(self.store, f"{RUN}@epoch:{i + 1}", tensors.described(targets))

    def load_one(self, i: int, name: str) -> torch.Tensor:
        target = torch.empty_like(self.like[name])
        self.restore(i, {name: target})
        return target

    def best(self) -> int:
        return self.library.epoch(self.store, f"{RUN}@best") - 1

    def rebuild_index(self) -> int:
        return self.library.rebuild_index(self.store)

    def close(self) -> None:
        if self.trainer is not None:
            self.trainer.finish()


class CkpstoreSynchronous(Ckpstore):
    """Saves that copy nothing and are durable when they return."""

    synchronous = True


class Memcpy(Peer):
    """A copy of the state into warm buffers: what a stall costs at least when everything changed."""

    only_stall = True

    def begin_saving(self, state: State) -> None:
        self.source = tensors.described(state)
        self.kept = {name: tensor.clone() for name, tensor in state.items()}
        self.target = tensors.described(self.kept)

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        Ckpstore.library.copy(self.source, self.target, THREADS)


class HashPass(Peer):
    """XXH3-128 of the state, a MiB at a time: what a stall costs at least when nothing changed."""

    only_stall = True

    def begin_saving(self, state: State) -> None:
        self.source = tensors.described(state)

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        Ckpstore.library.hash(self.source, THREADS)


def use(library: Path) -> dict[str, type[Peer]]:
    """Loads libckp_peer.so; ours, by name."""
    Ckpstore.library = Library(library)
    return {"memcpy": Memcpy, "hash": HashPass, "ckpstore": Ckpstore, "ckpstore_sync": CkpstoreSynchronous}
