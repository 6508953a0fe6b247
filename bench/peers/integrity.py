"""What happens when things go wrong: flipped bits, kills, and a trainer that does not wait."""
import os
import random
import shutil
import time
from pathlib import Path

import files
import tensors
from measure import LiveState
from peer import Peer
from process import Result, begin_group, in_child, kill_group
from workloads import Checkpoint, State

KILL_AT = (0.02, 0.1, 0.25, 0.4, 0.55, 0.7, 0.85, 0.95)  # parts of the time that a save takes


def save_one(kind: type[Peer], root: Path, checkpoint: Checkpoint) -> Result:
    peer = kind(root, checkpoint.state)
    peer.begin_saving(checkpoint.state)
    peer.save(0, checkpoint)
    peer.wait()
    peer.close()
    return {}


def is_loaded(kind: type[Peer], root: Path, i: int, state: State) -> Result:
    return {"same": tensors.equal(kind(root, state).load(i), state)}


def flip(path: Path, offset: int, mask: int) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def flips(kind: type[Peer], root: Path, checkpoints: list[Checkpoint], count: int = 20) -> Result:
    """One bit flipped somewhere in the peer's files, `count` times: does a load notice?"""
    checkpoint = checkpoints[0]
    saved = in_child(lambda: save_one(kind, root, checkpoint))
    if "error" in saved:
        return saved
    pristine = root.with_name(root.name + ".pristine")  # a load may repair files: each flip begins anew
    files.clear(pristine)
    root.rename(pristine)
    dice = random.Random(8)
    outcome = {"detected": 0, "harmless": 0, "silently wrong": 0, "process died": 0}
    for _ in range(count):
        files.clear(root)
        shutil.copytree(pristine, root)
        paths = sorted(files.all_files(root))
        path = dice.choices(paths, weights=[path.stat().st_size for path in paths])[0]
        flip(path, dice.randrange(path.stat().st_size), 1 << dice.randrange(8))
        result = in_child(lambda: is_loaded(kind, root, 0, checkpoint.state), timeout=120)
        outcome[_flip_outcome(result)] += 1
    files.clear(pristine)
    return outcome


def _flip_outcome(result: Result) -> str:
    if result.get("died"):
        return "process died"
    if "error" in result:
        return "detected"
    return "harmless" if result["same"] else "silently wrong"


def start_overwriting(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> tuple[int, int]:
    """A child that saves one checkpoint, then another in its place (a store: beside it). Its pid, and a pipe that
    tells when the second save begins and when it is done."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid != 0:
        os.close(writer)
        return pid, reader
    try:
        os.close(reader)
        begin_group()
        live = LiveState(checkpoints)
        peer, changes = kind(root, live.state), files.Changes(root)
        peer.begin_saving(live.state)
        peer.save(0, live.become(checkpoints[0]))
        peer.wait()
        changes.sync()
        second = live.become(checkpoints[1])
        os.write(writer, b"b")
        peer.save(1 if kind.versioned else 0, second)
        peer.wait()
        os.write(writer, b"d")
    finally:
        os._exit(0)


def overwrite_and_kill(kind: type[Peer], root: Path, checkpoints: list[Checkpoint], after: float | None) -> float:
    """Kills the child `after` that many seconds (none: lets it finish); how long the second save took or got."""
    files.clear(root)
    pid, pipe = start_overwriting(kind, root, checkpoints)
    if os.read(pipe, 1) != b"b":
        os.waitpid(pid, 0)
        os.close(pipe)
        raise RuntimeError("the first save failed")
    started = time.perf_counter()
    if after is None:
        os.read(pipe, 1)
    else:
        time.sleep(after)
    seconds = time.perf_counter() - started
    kill_group(pid)
    os.waitpid(pid, 0)
    os.close(pipe)
    return seconds


def survivor(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> str:
    def load(i: int) -> str:
        loaded = kind(root, checkpoints[0].state).load(i)
        matches = [name for name, checkpoint in zip(("old", "new"), checkpoints)
                   if tensors.equal(loaded, checkpoint.state)]
        return matches[0] if matches else "mixed"

    def outcome(i: int) -> str:
        result = in_child(lambda: {"is": load(i)}, timeout=120)
        return result.get("is", "lost")
    first = outcome(0)
    if not kind.versioned or first != "old":
        return first
    second = outcome(1)  # absent or refused: the old one is the newest
    return "old" if second == "lost" else second


def kills(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    """SIGKILL while a checkpoint is overwritten (a store: while one is added): what is there afterwards?

    old, new: that checkpoint, complete. mixed: loads, and is neither. lost: does not load.
    """
    whole = overwrite_and_kill(kind, root, checkpoints, None)
    outcome = {"old": 0, "new": 0, "mixed": 0, "lost": 0}
    for part in KILL_AT:
        overwrite_and_kill(kind, root, checkpoints, part * whole)
        outcome[survivor(kind, root, checkpoints)] += 1
    return outcome


def torn(kind: type[Peer], root: Path, checkpoints: list[Checkpoint]) -> Result:
    """The trainer goes on at once: every tensor changes as soon as save() has returned."""
    truth = checkpoints[0].state

    def save_and_go_on() -> Result:
        mine = {name: tensor.clone() for name, tensor in truth.items()}
        peer = kind(root, mine)
        peer.begin_saving(mine)
        peer.save(0, checkpoints[0]._replace(state=mine))
        for tensor in mine.values():
            tensor.add_(1)
        peer.wait()
        peer.close()
        return {}

    def compare() -> Result:
        loaded = kind(root, truth).load(0)
        wrong = [name for name in truth if not tensors.equal({name: loaded[name]}, {name: truth[name]})]
        return {"torn": len(wrong), "of": len(truth)}
    saved = in_child(save_and_go_on)
    return saved if "error" in saved else in_child(compare)
