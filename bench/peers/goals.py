"""What the project set out to reach beside other systems, and what it got. Ratios are medians over the rounds of
values from the same round."""
import statistics
from collections.abc import Callable
from typing import NamedTuple

from results import Group, Metric, Results, Row, compression, first, later, plain

OURS = "ckpstore"
MB, MS = 1e6, 1e-3


class Goal(NamedTuple):
    workload: str
    what: str
    value: Callable[[Group], float | None]
    at_most: float | None = None
    at_least: float | None = None
    unit: str = ""
    test: str = "speed"
    places: tuple[str, ...] = ("disk", "tmpfs")

    def reached(self, value: float) -> bool:
        return value <= self.at_most if self.at_most is not None else value >= self.at_least

    def bound(self) -> str:
        sign, bound = ("<=", self.at_most) if self.at_most is not None else (">=", self.at_least)
        return f"{sign} {bound:,g} {self.unit}".rstrip()


def part_of(metric: Metric, peer: str, other: Metric | None = None) -> Callable[[Group], float | None]:
    """Ours / the peer's; `other` when the peer is to be asked something else."""
    return lambda group: group.ratio(OURS, metric, peer, other)


def median(metric: Metric, scale: float = 1.0, peer: str = OURS) -> Callable[[Group], float | None]:
    def value(group: Group) -> float | None:
        found = group.median(peer, metric)
        return None if found is None else found / scale
    return value


def raw_of_one(row: Row) -> float:
    return row["raw_bytes"] / len(row["saves"])


def smallest_saving(row: Row) -> float | None:
    """raw / stored bytes of the save where it is smallest."""
    return raw_of_one(row) / max(save["added"] for save in row["saves"]) if "bytes" in row else None


def second_to_first(row: Row) -> float | None:
    return row["saves"][1]["added"] / row["saves"][0]["added"] if "bytes" in row else None


def memory_above_changed(row: Row) -> float | None:
    return row["peak_memory"] - raw_of_one(row) if "bytes" in row else None


def saving_speed(row: Row) -> float | None:
    return row["raw_bytes"] / sum(save["durable"] for save in row["saves"]) if "bytes" in row else None


def largest_later(row: Row) -> float | None:
    return max(save["added"] for save in row["saves"][1:]) if "bytes" in row else None


def amortised(row: Row) -> float | None:
    """Mean of the saves after the first."""
    return statistics.mean(row["series"]["added"][1:]) if "series" in row else None


def largest_of_series(row: Row) -> float | None:
    """The largest save after the first / the first, which is a full state."""
    return max(row["series"]["added"][1:]) / row["series"]["added"][0] if "series" in row else None


def packs_per_second(row: Row) -> float | None:
    return 1000 / row["rebuild"] if "rebuild" in row else None


GOALS = [
    Goal("W1", "stall, later saves / two-thread memcpy", part_of(later("stall"), "memcpy"), at_most=1.2),
    Goal("W1", "stall, later saves / torch.save", part_of(later("stall"), "torch_save"), at_most=0.15),
    Goal("W1", "stall, first save / later ones", part_of(first("stall"), OURS, later("stall")), at_most=2),
    Goal("W1", "durable, later saves / (safetensors + fsync)", part_of(later("durable"), "safetensors"), at_most=0.6,
         places=("disk",)),
    Goal("W1", "durable, later saves / (safetensors + fsync)", part_of(later("durable"), "safetensors"), at_most=0.8,
         places=("tmpfs",)),
    Goal("W1", "raw / bytes, the worse of two saves", median(smallest_saving), at_least=1.2),
    Goal("W1", "bytes of the second save / first", median(second_to_first), at_most=1),
    Goal("W1", "load into the trainer's tensors / torch.load and copy", part_of(plain("restore"), "torch_save"),
         at_most=0.4),
    Goal("W1", "load into the trainer's tensors / one read of the raw file", part_of(plain("restore"), "raw"),
         at_most=0.6),
    Goal("W1", "load into fresh memory / torch.load", part_of(plain("load"), "torch_save"), at_most=0.4),
    Goal("W1", "load into fresh memory / one read of the raw file", part_of(plain("load"), "raw"), at_most=0.6),
    Goal("W1", "one 9 MB tensor, store not yet open", median(plain("one"), MS), at_most=20, unit="ms"),
    Goal("W1", "extra memory above what changed", median(memory_above_changed, MB), at_most=128, unit="MB"),
    Goal("W1", "extra memory of a synchronous save", median(plain("peak_memory"), MB, "ckpstore_sync"), at_most=128,
         unit="MB"),
    Goal("W2", "stall, later saves / hash pass", part_of(later("stall"), "hash"), at_most=1.3),
    Goal("W2", "durable, later saves / (safetensors + fsync)", part_of(later("durable"), "safetensors"), at_most=0.2),
    Goal("W2", "bytes of five saves", median(plain("bytes"), MB), at_most=530, unit="MB"),
    Goal("W3", "added by a later save, the largest", median(largest_later, MB), at_most=6, unit="MB"),
    Goal("W3", "load of the last / torch.load and copy", part_of(plain("restore"), "torch_save"), at_most=1),
    Goal("W3", "200 saves: mean added by a later one (2.4 x 6 MB)", median(amortised, MB), at_most=14.4, unit="MB",
         test="series"),
    Goal("W3", "200 saves: the largest later one / a full state", median(largest_of_series), at_most=0.5,
         test="series"),
    Goal("W3", "200 saves: load of the last / torch.load and copy", part_of(plain("restore"), "torch_save"), at_most=1,
         test="series"),
    Goal("W4", "1000 saves one by one / (torch.save + fsync of each)", part_of(plain("one_by_one"), "torch_save"),
         at_most=1),
    Goal("W4", "1000 saves queued / (torch.save + fsync of each)",
         part_of(plain("queued"), "torch_save", plain("one_by_one")), at_most=1),
    Goal("W4", "stall p50, one by one", median(plain("one_by_one_stall"), MS), at_most=0.3, unit="ms"),
    Goal("W4", "best epoch, open included", median(plain("best"), MS), at_most=2, unit="ms"),
    Goal("W4", "index rebuild", median(packs_per_second), at_least=5000, unit="packs/s"),
    Goal("W5", "raw / bytes, two saves", median(compression), at_least=1.42),
    Goal("R1", "raw / bytes", median(compression), at_least=1.21),
    Goal("R1", "until durable", median(saving_speed, 1e9), at_least=1, unit="GB/s"),
    Goal("R2", "raw / bytes, balanced", median(compression), at_least=1.28),
    Goal("R2", "until durable, balanced", median(saving_speed, 1e9), at_least=0.5, unit="GB/s"),
]


def table(results: Results) -> list[str]:
    lines = ["| workload | cell | goal | place | measured | reached |", "|---|---|---|---|---|---|"]
    for goal in GOALS:
        for place in goal.places:
            group = results.get(goal.workload, goal.test, place)
            value = goal.value(group) if group is not None else None
            if value is not None:
                lines.append(f"| {goal.workload} | {goal.what} | {goal.bound()} | {place} | {value:,.3g} {goal.unit} | "
                             f"{'yes' if goal.reached(value) else 'no'} |".replace("  ", " "))
    return lines + [""]
