"""Made-up training states with the statistics of real ones."""
import math

import torch

from workloads import State, Writer

LEARNING_RATE = 3e-4
GRADIENT = 1e-4  # standard deviation
BETA1, BETA2 = 0.9, 0.999


def gpt2_shapes() -> dict[str, tuple[int, ...]]:
    """The parameters of GPT-2 124M, without the output layer that shares the first one's weights."""
    width = 768
    shapes: dict[str, tuple[int, ...]] = {"wte.weight": (50257, width), "wpe.weight": (1024, width)}
    for layer in range(12):
        for name, shape in {"ln_1.weight": (width,), "ln_1.bias": (width,),
                            "attn.c_attn.weight": (width, 3 * width), "attn.c_attn.bias": (3 * width,),
                            "attn.c_proj.weight": (width, width), "attn.c_proj.bias": (width,),
                            "ln_2.weight": (width,), "ln_2.bias": (width,),
                            "mlp.c_fc.weight": (width, 4 * width), "mlp.c_fc.bias": (4 * width,),
                            "mlp.c_proj.weight": (4 * width, width), "mlp.c_proj.bias": (width,)}.items():
            shapes[f"h.{layer:02d}.{name}"] = shape
    return shapes | {"ln_f.weight": (width,), "ln_f.bias": (width,)}


def parameter(name: str, shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    values = torch.randn(shape, generator=generator) * 0.02
    is_norm = name.endswith(("ln_1.weight", "ln_2.weight", "ln_f.weight"))
    return values + 1.0 if is_norm else values


def gradient(like: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    return torch.randn(like.shape, generator=generator) * GRADIENT


class Training:
    """Weights with AdamW's moments, and what some steps do to their distribution."""

    def __init__(self, shapes: dict[str, tuple[int, ...]], seed: int):
        self.generator = torch.Generator().manual_seed(seed)
        self.weights: State = {name: parameter(name, shape, self.generator) for name, shape in shapes.items()}
        self.m: State = {name: gradient(w, self.generator) for name, w in self.weights.items()}
        self.v: State = {name: gradient(w, self.generator).square_() for name, w in self.weights.items()}

    def advance(self, steps: int, rows: torch.Tensor | None = None) -> None:
        """The weights walk at random, m is all but renewed, v keeps BETA2 ** steps. `rows`: only those change."""
        index = slice(None) if rows is None else rows
        keep1, keep2 = BETA1**steps, BETA2**steps
        for name in self.weights:
            w, m, v = self.weights[name], self.m[name], self.v[name]
            part = w[index]
            w[index] = part - LEARNING_RATE * math.sqrt(steps) * 0.5 * torch.randn(part.shape, generator=self.generator)
            m[index] = keep1 * m[index] + math.sqrt(1 - keep1 * keep1) * gradient(part, self.generator)
            v[index] = keep2 * v[index] + (1 - keep2) * gradient(part, self.generator).square_()

    def moments(self) -> State:
        return ({f"optim.m.{name}": m for name, m in self.m.items()} |
                {f"optim.v.{name}": v for name, v in self.v.items()})

    def state(self) -> State:
        return {f"model.{name}": w for name, w in self.weights.items()} | self.moments()


def dense(out: Writer) -> None:
    training = Training(gpt2_shapes(), seed=1)
    out.checkpoint(training.state(), 3.5)
    training.advance(100)
    out.checkpoint(training.state(), 3.4)


def lora(out: Writer) -> None:
    shapes = gpt2_shapes()
    generator = torch.Generator().manual_seed(2)
    out.frozen({f"model.{name}": parameter(name, shape, generator) for name, shape in shapes.items()})
    adapters: dict[str, tuple[int, ...]] = {}
    for name, shape in shapes.items():
        if name.startswith("h.") and len(shape) == 2:
            adapters |= {f"{name}.lora_A": (16, shape[0]), f"{name}.lora_B": (shape[1], 16)}
    training = Training(adapters, seed=20)
    for i in range(5):
        out.checkpoint(training.state(), 2.0 - 0.1 * i)
        training.advance(100)


EMBEDDING_ROWS = 1_000_000


def embedding_training() -> Training:
    return Training({"emb.weight": (EMBEDDING_ROWS, 64)}, seed=3)


def change_some_rows(training: Training) -> None:
    """One step that saw 1 % of the rows."""
    rows = torch.randperm(EMBEDDING_ROWS, generator=training.generator)[: EMBEDDING_ROWS // 100]
    training.advance(1, rows)


def embedding(out: Writer) -> None:
    training = embedding_training()
    for i in range(5):
        out.checkpoint(training.state(), 1.0 - 0.1 * i)
        change_some_rows(training)


def mixed_precision(out: Writer) -> None:
    training = Training(gpt2_shapes(), seed=5)
    for i in range(2):
        masters = {f"master.{name}": w for name, w in training.weights.items()}
        rounded = {f"model.{name}": w.bfloat16() for name, w in training.weights.items()}
        out.checkpoint(masters | rounded | training.moments(), 3.5 - 0.1 * i)
        training.advance(100)
