"""Tensors as other libraries see them."""
import hashlib

import numpy as np
import torch

from library import TensorList, TensorSpec
from workloads import State


def memory_of(tensor: torch.Tensor) -> memoryview:
    """The bytes of a contiguous tensor, not copied."""
    return memoryview(tensor.reshape(-1).view(torch.uint8).numpy())


def described(state: State) -> TensorList:
    """For ckpstore. The tensors must stay alive and where they are."""
    return TensorList([TensorSpec(name, str(tensor.dtype).removeprefix("torch."), tensor.shape, tensor.stride(),
                                  tensor.data_ptr(), tensor.nbytes) for name, tensor in state.items()])


def to_numpy(state: State) -> dict[str, np.ndarray]:
    def array(tensor: torch.Tensor) -> np.ndarray:
        if tensor.dtype != torch.bfloat16:
            return tensor.numpy()
        import ml_dtypes
        return tensor.view(torch.int16).numpy().view(ml_dtypes.bfloat16)
    return {name: array(tensor) for name, tensor in state.items()}


def from_numpy(arrays: dict[str, np.ndarray]) -> State:
    def tensor(array: np.ndarray) -> torch.Tensor:
        if array.dtype.name != "bfloat16":
            return torch.from_numpy(array)
        return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
    return {name: tensor(np.asarray(array)) for name, array in arrays.items()}


def equal(one: State, other: State) -> bool:
    """Names, dtypes, shapes and every bit."""
    return one.keys() == other.keys() and all(
        one[name].dtype == tensor.dtype and one[name].shape == tensor.shape and
        np.array_equal(memory_of(one[name].contiguous()), memory_of(tensor)) for name, tensor in other.items())


def digest(state: State) -> str:
    """Of names and bytes, to compare what two processes have."""
    digest = hashlib.blake2b(digest_size=16)
    for name, tensor in sorted(state.items()):
        digest.update(name.encode())
        digest.update(memory_of(tensor))
    return digest.hexdigest()


def touch(state: State) -> None:
    """Reads a byte of each page, so that what was only mapped is there."""
    for tensor in state.values():
        np.asarray(memory_of(tensor.contiguous()))[::4096].sum()
