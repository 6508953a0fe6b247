"""Peers that keep many checkpoints in a store."""
import logging

import torch

import tensors
from peer import Peer, best_of
from workloads import Checkpoint, State


class Moonclip(Peer):
    """Its defaults: asynchronous, zstd 3, XOR deltas against the last full snapshot; nothing pruned."""

    versioned = True
    imports = ("moonclip",)

    def open(self) -> None:
        import moonclip
        self.manager = moonclip.CheckpointManager(str(self.root), max_full_snapshots=10**6)

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        self.manager.save(step=i, extra={"state": checkpoint.state}, metadata={"val_loss": str(checkpoint.val_loss)})

    def wait(self) -> None:
        self.manager.flush()

    def snapshot(self, i: int) -> str:
        return next(entry["id"] for entry in self.manager.list_snapshots() if entry["step"] == i)

    def load(self, i: int) -> State:
        return self.manager.load(self.snapshot(i))["extra/state"]

    def load_one(self, i: int, name: str) -> torch.Tensor:
        key = f"extra/state/t{list(self.like).index(name)}"  # it numbers the tensors of a plain dict
        data = self.manager.load_tensors(self.snapshot(i), [key])[key]
        return torch.frombuffer(data, dtype=self.like[name].dtype).reshape(self.like[name].shape)

    def best(self) -> int:
        return best_of((float(entry["metadata"]["val_loss"]), entry["step"]) for entry in self.manager.list_snapshots())


class TensorFs(Peer):
    versioned = True
    imports = ("tensorfs",)

    def open(self) -> None:
        import tensorfs
        self.tensorfs, self.store = tensorfs, str(self.root / "store")

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        with self.tensorfs.Writer(str(self.path(i, ".cozytensors")), cache_dir=self.store) as writer:
            component = writer.component("checkpoint")
            for name, tensor in checkpoint.state.items():
                component.put(name, tensor)
            writer.metadata["val_loss"] = str(checkpoint.val_loss)
            writer.commit()

    def file(self, i: int):
        return self.tensorfs.open(str(self.path(i, ".cozytensors")), cache_dir=self.store, local_files_only=True)

    def load(self, i: int) -> State:
        arrays = self.file(i).components["checkpoint"].tensors.read()
        return {name: torch.from_dlpack(array) for name, array in arrays.items()}

    def load_one(self, i: int, name: str) -> torch.Tensor:
        return torch.from_dlpack(self.file(i).components["checkpoint"].tensors.read(name))

    def best(self) -> int:
        numbers = (int(path.stem) for path in self.root.glob("*.cozytensors"))
        return best_of((float(self.file(i).metadata["val_loss"]), i) for i in numbers)


class Orbax(Peer):
    """CheckpointManager with its defaults: asynchronous, OCDBT, zstd. It takes NumPy arrays."""

    versioned = True
    imports = ("orbax.checkpoint",)

    def open(self) -> None:
        import orbax.checkpoint as ocp
        logging.disable(logging.WARNING)
        self.ocp = ocp
        self.manager = ocp.CheckpointManager(self.root.absolute(), options=ocp.CheckpointManagerOptions(
            best_fn=lambda metrics: metrics["val_loss"], best_mode="min"))

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        self.manager.save(i, args=self.ocp.args.StandardSave(tensors.to_numpy(checkpoint.state)),
                          metrics={"val_loss": checkpoint.val_loss})

    def wait(self) -> None:
        self.manager.wait_until_finished()

    def load(self, i: int) -> State:
        like = tensors.to_numpy({name: torch.empty_like(tensor) for name, tensor in self.like.items()})
        return tensors.from_numpy(self.manager.restore(i, args=self.ocp.args.StandardRestore(like)))

    def load_one(self, i: int, name: str) -> torch.Tensor:
        like = tensors.to_numpy({name: torch.empty_like(self.like[name])})
        with self.ocp.PyTreeCheckpointer() as checkpointer:
            restored = checkpointer.restore(self.root.absolute() / str(i) / "default",
                                            args=self.ocp.args.PyTreeRestore(like, partial_restore=True))
        return tensors.from_numpy(restored)[name]

    def best(self) -> int:
        return self.manager.best_step()

    def close(self) -> None:
        self.manager.close()
