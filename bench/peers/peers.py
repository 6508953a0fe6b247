"""The systems that are compared, each behind the same few calls. One small class each.

A peer lives in one process and one folder. `save` returns when the trainer may change its tensors,
`wait` when the tool says that the save is done; what the tool does not fsync itself, the measurement
does (files.py). Checkpoints are numbered from 0.
"""
import importlib
import logging
import os
import pickle
import warnings
from collections.abc import Iterable
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tensors
from workloads import Checkpoint, State


class Peer:
    versioned = False  # a store of many checkpoints, nothing overwritten; else: one file or folder for each
    imports: tuple[str, ...] = ()  # loaded before anything is measured
    can_load_one = True
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


class RawFile(Peer):
    """The floor: the bytes in one file, fsync, rename. No names, no checks."""

    can_load_one = False

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        partial = self.path(i, ".partial")
        with open(partial, "wb") as file:
            for tensor in checkpoint.state.values():
                file.write(tensors.memory_of(tensor))
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self.path(i, ".raw"))

    def restore(self, i: int, targets: State) -> None:
        with open(self.path(i, ".raw"), "rb", buffering=0) as file:
            for tensor in targets.values():
                if file.readinto(tensors.memory_of(tensor)) != tensor.nbytes:
                    raise EOFError(f"{file.name} is too short")


class TorchSave(Peer):
    def save(self, i: int, checkpoint: Checkpoint) -> None:
        torch.save(checkpoint._asdict(), self.path(i, ".pt"))

    def load(self, i: int) -> State:
        return torch.load(self.path(i, ".pt"), weights_only=True)["state"]

    def load_one(self, i: int, name: str) -> torch.Tensor:
        return torch.load(self.path(i, ".pt"), weights_only=True, mmap=True)["state"][name].clone()

    def best(self) -> int:
        return best_of((torch.load(path, weights_only=True, mmap=True)["val_loss"], int(path.stem))
                       for path in self.root.glob("*.pt"))


class Safetensors(Peer):
    def save(self, i: int, checkpoint: Checkpoint) -> None:
        save_file(checkpoint.state, self.path(i, ".safetensors"), {"val_loss": str(checkpoint.val_loss)})

    def load(self, i: int) -> State:
        return load_file(self.path(i, ".safetensors"))

    def load_one(self, i: int, name: str) -> torch.Tensor:
        with safe_open(self.path(i, ".safetensors"), "pt") as file:
            return file.get_tensor(name).clone()

    def best(self) -> int:
        def loss(path: Path) -> float:
            with safe_open(path, "pt") as file:
                return float(file.metadata()["val_loss"])
        return best_of((loss(path), int(path.stem)) for path in self.root.glob("*.safetensors"))


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


class ZipNn(Peer):
    """A compressor, no checkpoint system: every tensor by itself, pickled into one file."""

    imports = ("zipnn",)
    can_load_one = False
    dtypes = {torch.bfloat16: "bfloat16", torch.float32: "float32"}  # any other: as float32

    def coder(self, dtype: torch.dtype = torch.float32):
        import zipnn
        return zipnn.ZipNN(input_format="byte", bytearray_dtype=self.dtypes.get(dtype, "float32"), threads=2)

    def save(self, i: int, checkpoint: Checkpoint) -> None:
        coders = {dtype: self.coder(dtype) for dtype in {t.dtype for t in checkpoint.state.values()}}
        packed = {name: bytes(coders[tensor.dtype].compress(bytearray(tensors.memory_of(tensor))))
                  for name, tensor in checkpoint.state.items()}
        with open(self.path(i, ".znn"), "wb") as file:
            pickle.dump(packed, file)

    def load(self, i: int) -> State:
        with open(self.path(i, ".znn"), "rb") as file:
            packed = pickle.load(file)
        coder = self.coder()
        return {name: torch.frombuffer(bytearray(coder.decompress(data)), dtype=self.like[name].dtype)
                .reshape(self.like[name].shape) for name, data in packed.items()}


PEERS: dict[str, type[Peer]] = {
    "raw": RawFile, "torch_save": TorchSave, "safetensors": Safetensors, "dcp": Dcp, "dcp_async": DcpAsync,
    "moonclip": Moonclip, "tensorfs": TensorFs, "orbax": Orbax, "zipnn": ZipNn,
}


def missing_import(peer: type[Peer]) -> str | None:
    """Imports what a peer needs; says in one line what stands in the way."""
    try:
        for module in peer.imports:
            importlib.import_module(module)
    except Exception as error:  # whatever a foreign package may raise
        return f"{type(error).__name__}: {error}".splitlines()[0]
    return None
