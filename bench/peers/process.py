"""Runs a function in a forked process of its own, whatever it does to itself."""
import os
import pickle
import signal
import threading
import traceback
from collections.abc import Callable
from typing import Any

import torch

Result = dict[str, Any]


def in_child(work: Callable[[], Result], timeout: float = 600) -> Result:
    """What work() returns, or {"error": ...} when it raised, died or took too long.

    The states lie in the parent's memory, so that the child has them without copying. When it ends, so does
    every process that it started.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _work_and_exit(work, writer)
    os.close(writer)
    timer = threading.Timer(timeout, kill_group, [pid])
    timer.start()
    try:
        with os.fdopen(reader, "rb") as pipe:
            data = pipe.read()
    finally:
        timer.cancel()
        kill_group(pid)
        status = os.waitpid(pid, 0)[1]
    if data:
        return pickle.loads(data)
    return {"error": f"died: signal {os.WTERMSIG(status)}" if os.WIFSIGNALED(status) else "died", "died": True}


def _work_and_exit(work: Callable[[], Result], writer: int) -> None:
    try:
        try:
            begin_group()
            result = work()
        except BaseException as error:  # SystemExit and the like, too
            result = {"error": f"{type(error).__name__}: {error}"[:300], "trace": traceback.format_exc()[-1500:]}
        with os.fdopen(writer, "wb") as pipe:
            pickle.dump(result, pipe)
    finally:
        os._exit(0)  # never back into what the parent does


def begin_group() -> None:
    os.setpgid(0, 0)
    torch.set_num_threads(2)


def kill_group(pid: int) -> None:
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
