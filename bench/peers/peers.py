"""The systems that ckpstore is compared with, by name."""
import importlib

from peer import Peer
from single_files import RawFile, Safetensors, TorchSave, ZipNn
from stores import Moonclip, Orbax, TensorFs
from torch_dcp import Dcp, DcpAsync

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
