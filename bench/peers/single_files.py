"""Peers that write a file for each checkpoint."""
import os
import pickle
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

import tensors
from peer import Peer, best_of
from workloads import Checkpoint, State


class RawFile(Peer):
    """The floor: the bytes in one file, fsync, rename. No names, no checks."""

    can_load_one = can_find_best = False

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


class ZipNn(Peer):
    """A compressor, no checkpoint system: every tensor by itself, pickled into one file."""

    imports = ("zipnn",)
    can_load_one = can_find_best = False
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
