"""What saving and loading cost one peer. Seconds and bytes.

The child that saves is a trainer: its tensors stay where they are and take the next checkpoint's values
between two saves, outside the measured time. For each save:
  stall    until save() returned
  written  until wait() returned
  durable  written, and the fsync of every file and folder that changed (files.Changes)
  cpu      of the process and its threads, until wait() returned
  added    bytes on the disk
Each load is the first thing that a new process does with the peer.
"""
import resource
import statistics
import time
from pathlib import Path

import torch

import files
import tensors
from peer import Peer
from process import Result, in_child
from workloads import Checkpoint, State, nbytes


class LiveState:
    """A trainer's tensors. Those that no checkpoint changes are the checkpoints' own."""

    def __init__(self, checkpoints: list[Checkpoint]):
        first = checkpoints[0].state
        self.changing = [name for name, tensor in first.items()
                         if any(other.state[name] is not tensor for other in checkpoints)]
        self.state: State = dict(first) | {name: first[name].clone() for name in self.changing}

    def become(self, checkpoint: Checkpoint) -> Checkpoint:
        for name in self.changing:
            self.state[name].copy_(checkpoint.state[name])
        return checkpoint._replace(state=self.state)


def memory(key: str) -> int:
    with open("/proc/self/status", encoding="ascii") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith(key))


def reset_peak_memory() -> None:
    with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
        file.write("5")


def cpu_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def timed_save(peer: Peer, i: int, checkpoint: Checkpoint, changes: files.Changes) -> Result:
    cpu = cpu_seconds()
    started = time.perf_counter()
    peer.save(i, checkpoint)
    stall = time.perf_counter() - started
    peer.wait()
    written = time.perf_counter() - started
    cpu = cpu_seconds() - cpu
    return {"stall": stall, "written": written, "durable": written + changes.sync(), "cpu": cpu}


def saves(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    live = LiveState(checkpoints)
    peer = kind(root, live.state)
    peer.begin_saving(live.state)
    changes = files.Changes(root)
    changes.sync()
    reset_peak_memory()
    before = memory("VmRSS")
    rows, size = [], files.size_of(root).bytes
    for i, checkpoint in enumerate(checkpoints):
        row = timed_save(peer, i, live.become(checkpoint), changes)
        size, row["added"] = (after := files.size_of(root).bytes), after - size
        rows.append(row)
    peak = memory("VmHWM") - before
    peer.close()
    return {"saves": rows, "peak_memory": peak}


def fresh_load(peer: Peer, i: int, truth: State) -> Result:
    started = time.perf_counter()
    loaded = peer.load(i)
    tensors.touch(loaded)
    seconds = time.perf_counter() - started
    return {"load": seconds, "exact": tensors.equal(loaded, truth)}


def restore(peer: Peer, i: int, truth: State) -> Result:
    targets = {name: torch.ones_like(tensor) for name, tensor in truth.items()}
    started = time.perf_counter()
    peer.restore(i, targets)
    seconds = time.perf_counter() - started
    return {"restore": seconds, "restore_exact": tensors.equal(targets, truth)}


def one_tensor(peer: Peer, i: int, name: str, truth: State) -> Result:
    started = time.perf_counter()
    loaded = peer.load_one(i, name)
    seconds = time.perf_counter() - started
    return {"one": seconds, "one_exact": tensors.equal({name: loaded}, {name: truth[name]})}


def loads(kind: type[Peer], root: Path, last: Checkpoint, i: int, one: str, cold: bool) -> Result:
    def child(measure, *arguments) -> Result:
        result = in_child(lambda: measure(kind(root, last.state), i, *arguments))
        result.pop("trace", None)
        return {f"{measure.__name__}_error": result["error"]} if "error" in result else result
    result = child(fresh_load, last.state) | child(restore, last.state)
    if kind.can_load_one:
        result |= child(one_tensor, one, last.state)
    if cold:
        files.evict(root)
        result |= {f"cold_{key}": value for key, value in child(restore, last.state).items()}
    return result


def timing(kind: type[Peer], root: Path, checkpoints: list[Checkpoint], one: str, cold: bool) -> Result:
    """Every checkpoint saved and waited for; the last one loaded."""
    result = in_child(lambda: saves(kind, root, checkpoints))
    if kind.only_stall and "saves" in result:
        return {"saves": [{key: row[key] for key in ("stall", "cpu")} for row in result["saves"]]}
    if "error" in result:
        return result
    size = files.size_of(root)
    result |= {"files": size.files, "bytes": size.bytes, "raw_bytes": sum(nbytes(c.state) for c in checkpoints)}
    return result | loads(kind, root, checkpoints[-1], len(checkpoints) - 1, one, cold)


def save_one_by_one(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    live, peer = LiveState(checkpoints), kind(root, checkpoints[0].state)
    peer.begin_saving(live.state)
    changes = files.Changes(root)
    rows = [timed_save(peer, i, live.become(checkpoint), changes) for i, checkpoint in enumerate(checkpoints)]
    peer.close()
    return {"one_by_one": sum(row["durable"] for row in rows),
            "one_by_one_stall": statistics.median(row["stall"] for row in rows)}


def save_queued(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    """A save after the other, and one wait at the end. The trainer's own copying is in the time."""
    live, peer = LiveState(checkpoints), kind(root, checkpoints[0].state)
    peer.begin_saving(live.state)
    changes, stalls = files.Changes(root), []
    started = time.perf_counter()
    for i, checkpoint in enumerate(checkpoints):
        now = live.become(checkpoint)
        before = time.perf_counter()
        peer.save(i, now)
        stalls.append(time.perf_counter() - before)
    peer.wait()
    written = time.perf_counter() - started
    durable = written + changes.sync()
    peer.close()
    return {"queued": durable, "queued_written": written, "stall": statistics.median(stalls), "stall_max": max(stalls)}


def best_epoch(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    started = time.perf_counter()
    peer = kind(root, checkpoints[0].state)
    found = peer.best()
    opened = time.perf_counter()
    peer.best()
    truth = min(range(len(checkpoints)), key=lambda i: checkpoints[i].val_loss)
    return {"best": opened - started, "best_again": time.perf_counter() - opened, "best_exact": found == truth}


def rebuild(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    peer = kind(root, checkpoints[0].state)
    started = time.perf_counter()
    found = peer.rebuild_index()
    return {"rebuild": time.perf_counter() - started, "rebuild_exact": found == len(checkpoints)}


def many(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    """Many small saves, each waited for, then again in a queue; then questions to the store of the queue."""
    result = in_child(lambda: save_one_by_one(kind, root, checkpoints))
    files.clear(root)
    result |= in_child(lambda: save_queued(kind, root, checkpoints))
    if "error" in result:
        return result
    size = files.size_of(root)
    result |= {"files": size.files, "bytes": size.bytes, "raw_bytes": sum(nbytes(c.state) for c in checkpoints)}
    for question, is_asked in ((best_epoch, kind.can_find_best), (rebuild, hasattr(kind, "rebuild_index"))):
        if not is_asked:
            continue
        answer = in_child(lambda: question(kind, root, checkpoints))
        result |= {f"{question.__name__}_error": answer["error"]} if "error" in answer else answer
    return result
