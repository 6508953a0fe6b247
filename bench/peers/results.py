"""The measurements in a JSON file. A group is what one interleaved run compared: one test of one workload in
one place. Measuring a group again replaces it; other groups keep the run that they came from."""
import json
import statistics
from collections.abc import Callable
from pathlib import Path
from typing import Any

Row = dict[str, Any]  # of one peer in one round


class Group(dict):
    """workload, test, place, machine, started, load, absent, rows."""

    def peers(self) -> list[str]:
        return list(dict.fromkeys(row["peer"] for row in self["rows"]))

    def of(self, peer: str) -> list[Row]:
        return [row for row in self["rows"] if row["peer"] == peer]

    def values(self, peer: str, metric: "Metric") -> dict[int, float]:
        """By round; rounds where it failed are left out."""
        pairs = ((row["round"], metric(row)) for row in self.of(peer))
        return {number: value for number, value in pairs if value is not None}

    def ratio(self, peer: str, metric: "Metric", other: str, other_metric: "Metric | None" = None) -> float | None:
        """Median over the rounds of peer's value / the other's in the same round."""
        mine, theirs = self.values(peer, metric), self.values(other, other_metric or metric)
        quotients = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return statistics.median(quotients) if quotients else None

    def median(self, peer: str, metric: "Metric") -> float | None:
        values = self.values(peer, metric).values()
        return statistics.median(values) if values else None


Metric = Callable[[Row], float | None]


def plain(key: str) -> Metric:
    return lambda row: row.get(key)


def first(key: str) -> Metric:
    return lambda row: row["saves"][0].get(key) if "saves" in row else None


def later(key: str) -> Metric:
    """The median of the saves after the first; of the only one when there is one."""
    def metric(row: Row) -> float | None:
        values = [save[key] for save in row.get("saves", []) if key in save]
        return statistics.median(values[1:] or values) if values else None
    return metric


def compression(row: Row) -> float | None:
    return row["raw_bytes"] / row["bytes"] if "bytes" in row else None


def key_of(workload: str, test: str, place: str) -> str:
    return f"{workload} {test} {place}"


class Results:
    def __init__(self, path: Path):
        self.path = path
        groups = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        self.groups = {key: Group(group) for key, group in groups.items()}

    def put(self, group: Group) -> None:
        self.groups[key_of(group["workload"], group["test"], group["place"])] = group
        self.groups = dict(sorted(self.groups.items()))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_text(self._json(), encoding="utf-8")
        partial.rename(self.path)

    def get(self, workload: str, test: str, place: str) -> Group | None:
        return self.groups.get(key_of(workload, test, place))

    def _json(self) -> str:
        """A row a line, so that two versions can be compared."""
        def group(value: Group) -> str:
            head = json.dumps({name: entry for name, entry in value.items() if name != "rows"}, indent=1)
            rows = ",\n".join("  " + json.dumps(rounded(row)) for row in value["rows"])
            return f'{head[:-2]},\n "rows": [\n{rows}\n ]\n}}'
        return "{\n" + ",\n".join(f"{json.dumps(key)}: {group(value)}" for key, value in self.groups.items()) + "\n}\n"


def number(value: float) -> str:
    """Three digits, no exponent."""
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}" if abs(value) >= 0.001 else f"{value:.4f}"


def rounded(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.4g}")
    if isinstance(value, dict):
        return {key: rounded(entry) for key, entry in value.items()}
    return [rounded(entry) for entry in value] if isinstance(value, list) else value
