"""The shared library of ckp_peer.cc, called through ctypes. Needs nothing outside Python itself."""
import ctypes
from pathlib import Path
from typing import NamedTuple, Sequence


class TensorSpec(NamedTuple):
    """A tensor in memory that somebody else keeps alive."""
    name: str
    dtype: str  # "float32", "bfloat16", ...
    shape: Sequence[int]
    strides: Sequence[int]  # in elements
    data: int  # address of the first element
    size: int  # bytes


class _Tensor(ctypes.Structure):  # `Tensor` of tensor.h
    _fields_ = [("name", ctypes.c_char_p), ("dtype", ctypes.c_char_p), ("rank", ctypes.c_size_t),
                ("shape", ctypes.POINTER(ctypes.c_int64)), ("strides", ctypes.POINTER(ctypes.c_int64)),
                ("data", ctypes.c_void_p), ("size", ctypes.c_uint64)]


class TensorList:
    """Tensors described once, so that a save passes one pointer."""

    def __init__(self, specs: Sequence[TensorSpec]):
        self.count = len(specs)
        self.array = (_Tensor * self.count)(*map(self._describe, specs))

    @staticmethod
    def _describe(spec: TensorSpec) -> _Tensor:
        dimensions = ctypes.c_int64 * len(spec.shape)
        return _Tensor(spec.name.encode(), spec.dtype.encode(), len(spec.shape),
                       dimensions(*spec.shape), dimensions(*spec.strides), spec.data, spec.size)


_TENSORS = [ctypes.POINTER(_Tensor), ctypes.c_size_t]
_SIGNATURES = {
    "ckp_peer_error": (ctypes.c_char_p, []),
    "ckp_peer_start": (ctypes.c_void_p, [*[ctypes.c_char_p] * 3, ctypes.c_int]),
    "ckp_peer_save": (ctypes.c_int64, [ctypes.c_void_p, *_TENSORS, ctypes.c_int64, ctypes.c_double]),
    "ckp_peer_wait": (ctypes.c_int64, [ctypes.c_void_p]),
    "ckp_peer_finish": (ctypes.c_int64, [ctypes.c_void_p]),
    "ckp_peer_load": (ctypes.c_int64, [ctypes.c_char_p, ctypes.c_char_p, *_TENSORS]),
    "ckp_peer_epoch": (ctypes.c_int64, [ctypes.c_char_p] * 2),
    "ckp_peer_rebuild_index": (ctypes.c_int64, [ctypes.c_char_p]),
    "ckp_peer_copy": (None, [_TENSORS[0], *_TENSORS, ctypes.c_uint]),
    "ckp_peer_hash": (ctypes.c_uint64, [*_TENSORS, ctypes.c_uint]),
}


class Library:
    """libckp_peer.so. A call that fails raises RuntimeError with ckpstore's own message."""

    def __init__(self, path: Path | str):
        self._so = ctypes.CDLL(str(path))
        for name, (result, arguments) in _SIGNATURES.items():
            function = getattr(self._so, name)
            function.restype, function.argtypes = result, arguments

    def _checked(self, result: int) -> int:
        if result is None or result < 0:
            raise RuntimeError(self._so.ckp_peer_error().decode())
        return result

    def start(self, store: str, run: str, compression: str = "balanced", synchronous: bool = False) -> "Trainer":
        handle = self._so.ckp_peer_start(store.encode(), run.encode(), compression.encode(), synchronous)
        return Trainer(self, self._checked(handle))

    def load(self, store: str, address: str, targets: TensorList) -> None:
        self._checked(self._so.ckp_peer_load(store.encode(), address.encode(), targets.array, targets.count))

    def epoch(self, store: str, address: str) -> int:
        return self._checked(self._so.ckp_peer_epoch(store.encode(), address.encode()))

    def rebuild_index(self, store: str) -> int:
        return self._checked(self._so.ckp_peer_rebuild_index(store.encode()))

    def copy(self, source: TensorList, target: TensorList, threads: int) -> None:
        self._so.ckp_peer_copy(source.array, target.array, source.count, threads)

    def hash(self, tensors: TensorList, threads: int) -> int:
        return self._so.ckp_peer_hash(tensors.array, tensors.count, threads)


class Trainer:
    """A run that is being saved into a store; made by Library.start."""

    def __init__(self, library: Library, handle: int):
        self._library, self._so, self._handle = library, library._so, handle

    def save(self, state: TensorList, epoch: int, val_loss: float) -> None:
        """Returns when the tensors may change; the save may still go on."""
        self._library._checked(self._so.ckp_peer_save(self._handle, state.array, state.count, epoch, val_loss))

    def wait(self) -> None:
        """Returns when every save so far is durable."""
        self._library._checked(self._so.ckp_peer_wait(self._handle))

    def finish(self) -> None:
        handle, self._handle = self._handle, None
        self._library._checked(self._so.ckp_peer_finish(handle))
