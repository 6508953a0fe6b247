"""Real weights: small networks trained on Fashion-MNIST, and a published model."""
import gzip
import struct
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import safe_open

from workloads import State, Writer


class Images(NamedTuple):
    train: torch.Tensor
    train_labels: torch.Tensor
    test: torch.Tensor
    test_labels: torch.Tensor


def _read_idx(path: Path) -> torch.Tensor:
    with gzip.open(path) as file:
        rank = file.read(4)[3]
        shape = struct.unpack(f">{rank}I", file.read(4 * rank))
        return torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).reshape(shape)


def fashion_mnist(folder: Path) -> Images:
    def images(name: str) -> torch.Tensor:
        return _read_idx(folder / name).float().div_(255).unsqueeze_(1)

    def labels(name: str) -> torch.Tensor:
        return _read_idx(folder / name).long()
    return Images(images("train-images-idx3-ubyte.gz"), labels("train-labels-idx1-ubyte.gz"),
                  images("t10k-images-idx3-ubyte.gz"), labels("t10k-labels-idx1-ubyte.gz"))


def _state(network: torch.nn.Module, optimizer: torch.optim.Optimizer) -> State:
    state = {f"model.{name}": tensor.detach() for name, tensor in network.state_dict().items()}
    for name, weight in network.named_parameters():
        adam = optimizer.state[weight]
        state |= {f"optim.m.{name}": adam["exp_avg"], f"optim.v.{name}": adam["exp_avg_sq"],
                  f"optim.step.{name}": adam["step"].reshape(1)}
    return state


def _train(network: torch.nn.Module, images: Images, out: Writer, *, epochs: int, batch: int, batches: int,
           seed: int) -> None:
    """One checkpoint an epoch; an epoch is `batches` batches."""
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
    loss = torch.nn.CrossEntropyLoss()
    generator = torch.Generator().manual_seed(seed)
    for _ in range(epochs):
        network.train()
        order = torch.randperm(len(images.train), generator=generator)
        for chosen in order.split(batch)[:batches]:
            optimizer.zero_grad()
            loss(network(images.train[chosen]), images.train_labels[chosen]).backward()
            optimizer.step()
        network.eval()
        with torch.no_grad():
            val_loss = loss(network(images.test[:2000]), images.test_labels[:2000]).item()
        out.checkpoint(_state(network, optimizer), val_loss)


def small_network(out: Writer, fashion: Path) -> None:
    torch.manual_seed(4)
    nn = torch.nn
    network = nn.Sequential(nn.Flatten(), nn.Linear(784, 40), nn.ReLU(), nn.Linear(40, 10))
    _train(network, fashion_mnist(fashion), out, epochs=1000, batch=128, batches=4, seed=4)


def convolutional_network(out: Writer, fashion: Path) -> None:
    torch.manual_seed(6)
    nn = torch.nn
    network = nn.Sequential(nn.Conv2d(1, 16, 3), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Conv2d(16, 32, 3), nn.ReLU(), nn.MaxPool2d(2),
                            nn.Flatten(), nn.Linear(800, 512), nn.ReLU(), nn.Linear(512, 10))
    _train(network, fashion_mnist(fashion), out, epochs=3, batch=256, batches=60_000 // 256, seed=6)


def downloaded_weights(out: Writer, model: Path | None) -> None:
    if model is None:
        raise SystemExit("R1 needs --minilm")
    with safe_open(model, "pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}
    out.checkpoint({f"model.{name}": t for name, t in tensors.items() if t.is_floating_point()}, 1.0)
