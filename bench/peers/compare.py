"""Measures ckpstore beside other checkpoint systems: every peer in turn, round after round.

    python compare.py WORKDIR --library LIBCKP_PEER.SO --results FOLDER [options]

run.sh prepares everything that this needs and calls it.
"""
import argparse
import functools
import gc
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"  # before orbax is imported

import torch

import ckpstore
import files
import integrity
import machine
import measure
import series
import workloads
from peer import Peer
from peers import PEERS, missing_import
from process import Result
from results import Group, Results
from workloads import WORKLOADS

SPEED = ("W1", "W2", "W3", "W4", "W5", "R1", "R2")
INTEGRITY = {"flips": (integrity.flips, "R2"), "kills": (integrity.kills, "K"), "torn": (integrity.torn, "K")}
# A compressor alone is no answer to small changes, and threads no help with small states.
LEFT_OUT = {"zipnn": {"W2", "W3", "W4"}, "memcpy": {"W4"}, "hash": {"W4"}, "ckpstore_sync": set(SPEED) - {"W1", "W4"}}

Measurement = Callable[[type[Peer], Path], Result]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    names = functools.partial(str.split, sep=",")
    parser.add_argument("work", type=Path)
    parser.add_argument("--library", type=Path, required=True)
    parser.add_argument("--results", type=Path, required=True, help="folder of results.json")
    parser.add_argument("--workloads", type=names, default=list(SPEED), metavar="W1,W4,...")
    parser.add_argument("--peers", type=names, metavar="raw,torch_save,...", help="ckpstore and the limits always run")
    parser.add_argument("--places", type=names, default=["disk", "tmpfs"], metavar="disk,tmpfs")
    parser.add_argument("--tests", type=names, default=["speed", "series", *INTEGRITY],
                        metavar="speed,series,flips,kills,torn")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--checkpoints", type=int, help="only the first so many of each workload")
    parser.add_argument("--tmpfs", type=Path, default=Path("/dev/shm"))
    return parser.parse_args()


class Comparison:
    def __init__(self, options: argparse.Namespace):
        self.options = options
        self.results = Results(options.results / "results.json")
        self.roots = {"disk": options.work / f"stores-{os.getpid()}",
                      "tmpfs": options.tmpfs / f"ckpstore-peers-{os.getpid()}"}
        self.kinds, self.absent = self._available(ckpstore.use(options.library))

    def _available(self, ours: dict[str, type[Peer]]) -> tuple[dict[str, type[Peer]], dict[str, str]]:
        kinds, absent = dict(ours), {}
        for name in self.options.peers or PEERS:
            if reason := missing_import(PEERS[name]):
                print(f"{name} is left out: {reason}", flush=True)
                absent[name] = reason
            else:
                kinds[name] = PEERS[name]
        return kinds, absent

    def run(self) -> None:
        if "speed" in self.options.tests:
            for workload in self.options.workloads:
                for place in self.options.places:
                    self.speed(workload, place)
        if "series" in self.options.tests:
            kinds = {name: kind for name, kind in self.kinds.items() if name in series.PEERS}
            self.group("W3", "series", "disk", kinds, 1, series.series)
        for test, (work, workload) in INTEGRITY.items():
            if test in self.options.tests:
                checkpoints = workloads.load(self.options.work, workload)
                kinds = {name: kind for name, kind in self.kinds.items() if not kind.only_stall}
                self.group(workload, test, "disk", kinds, 1,
                           lambda kind, root, work=work: work(kind, root, checkpoints))

    def speed(self, workload: str, place: str) -> None:
        checkpoints = workloads.load(self.options.work, workload, self.options.checkpoints)
        kinds = {name: kind for name, kind in self.kinds.items() if workload not in LEFT_OUT.get(name, ())}

        def work(kind: type[Peer], root: Path) -> Result:
            if workload == "W4":
                return measure.many(kind, root, checkpoints)
            return measure.timing(kind, root, checkpoints, WORKLOADS[workload].one, cold=place == "disk")
        self.group(workload, "speed", place, kinds, self.options.rounds, work)

    def group(self, workload: str, test: str, place: str, kinds: dict[str, type[Peer]], rounds: int,
              work: Measurement) -> None:
        """Rounds over all peers; each round begins with another one."""
        root = self.roots[place]
        root.mkdir(parents=True, exist_ok=True)
        group = Group(workload=workload, test=test, place=place, file_system=machine.file_system(root),
                      machine=machine.describe(), started=time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
                      load=[machine.load_average()], absent=self.absent, rows=[])
        names = list(kinds)
        gc.collect()
        gc.freeze()  # the children do not go through the parent's objects
        for number in range(rounds):
            for name in names[number % len(names):] + names[:number % len(names)]:
                group["rows"].append(self.row(name, kinds[name], root / f"{workload}-{name}", number, work))
            group["load"].append(machine.load_average())
            self.results.put(group)
        gc.unfreeze()

    def row(self, name: str, kind: type[Peer], root: Path, number: int, work: Measurement) -> Result:
        files.clear(root)
        os.sync()
        started = time.perf_counter()
        result = work(kind, root)
        result.pop("trace", None)
        row = {"peer": name, "round": number} | result
        print(f"{root.name} round {number}, {time.perf_counter() - started:.1f} s: {brief(row)}", flush=True)
        files.clear(root)
        return row


def brief(row: Result) -> str:
    shown = {key: value for key, value in row.items() if key not in ("peer", "round", "saves", "series")}
    for key in ("stall", "durable"):
        if values := [save[key] for save in row.get("saves", ()) if key in save]:
            shown[key] = values
    return ", ".join(f"{key} {_text(value)}" for key, value in shown.items())


def _text(value: object) -> str:
    if isinstance(value, list):
        return "[" + " ".join(map(_text, value)) + "]"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # the stores are removed then, too
    warnings.filterwarnings("ignore")  # deprecations within the packages
    torch.set_num_threads(1)  # no threads in the parent: the children are forked from it
    comparison = Comparison(options)
    try:
        comparison.run()
    finally:
        for root in comparison.roots.values():
            files.clear(root)


if __name__ == "__main__":
    main()
