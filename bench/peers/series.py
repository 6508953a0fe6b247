"""A long run of small changes: W3's embedding table saved many times, and the last checkpoint loaded."""
import time
from pathlib import Path

import files
import tensors
from measure import timed_save
from peer import Peer
from process import Result, in_child
from synthetic import change_some_rows, embedding_training
from workloads import Checkpoint, nbytes

SAVES = 200
MOST_STATES = 12  # a store that has grown to so many full states ends the series
PEERS = {"ckpstore", "torch_save"}  # others take 768 MB or seconds for each; torch_save saves the last only


def train(kind: type[Peer], root: Path, saves: int) -> Result:
    training = embedding_training()
    state = training.state()
    peer, changes = kind(root, state), files.Changes(root)
    peer.begin_saving(state)
    rows, size, most = [], files.size_of(root).bytes, MOST_STATES * nbytes(state)
    for i in range(saves):
        if kind.versioned or i == saves - 1:
            row = timed_save(peer, i, Checkpoint(state, i + 1, 1.0 / (i + 1)), changes)
            size, row["added"] = (after := files.size_of(root).bytes), after - size
            rows.append(row)
        if size > most or i == saves - 1:
            break
        change_some_rows(training)
    peer.close()
    return {"last": i, "series": {key: [row[key] for row in rows] for key in ("stall", "durable", "added")},
            "digest": tensors.digest(state)}


def load_last(kind: type[Peer], root: Path, last: int, digest: str) -> Result:
    targets = embedding_training().state()
    peer = kind(root, targets)
    started = time.perf_counter()
    peer.restore(last, targets)
    return {"restore": time.perf_counter() - started, "restore_exact": tensors.digest(targets) == digest}


def series(kind: type[Peer], root: Path, saves: int = SAVES) -> Result:
    result = in_child(lambda: train(kind, root, saves), timeout=1200)
    if "error" in result:
        return result
    digest, size = result.pop("digest"), files.size_of(root)
    return (result | {"files": size.files, "bytes": size.bytes} |
            in_child(lambda: load_last(kind, root, result["last"], digest)))
