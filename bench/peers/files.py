"""What a peer left on the disk."""
import os
import shutil
import time
from pathlib import Path
from typing import NamedTuple


class Size(NamedTuple):
    files: int
    bytes: int


def all_files(root: Path) -> list[Path]:
    return [Path(folder) / name for folder, _, names in os.walk(root) for name in names]


def size_of(root: Path) -> Size:
    sizes = [path.stat().st_size for path in all_files(root)]
    return Size(len(sizes), sum(sizes))


def clear(root: Path) -> None:
    shutil.rmtree(root, ignore_errors=True)


def evict(root: Path) -> None:
    """Asks the kernel to drop the files from its cache; on a tmpfs nothing happens."""
    for path in all_files(root):
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


class Changes:
    """Makes durable what changed below a folder since the last call, whatever the tool has done itself."""

    def __init__(self, root: Path):
        self.root, self.seen = root, {}

    def sync(self) -> float:
        """The seconds that the fsync calls took; finding the files is not counted."""
        changed = [path for path, stamp in self._stamps().items() if self.seen.get(path) != stamp]
        started = time.perf_counter()
        for path in changed:
            _fsync(path)
        seconds = time.perf_counter() - started
        self.seen = self._stamps()
        return seconds

    def _stamps(self) -> dict[str, tuple[int, int, int]]:
        stamps = {}
        for folder, _, names in os.walk(self.root):
            for path in [folder, *(os.path.join(folder, name) for name in names)]:
                try:
                    status = os.stat(path)
                except FileNotFoundError:  # a temporary file of the tool
                    continue
                stamps[path] = (status.st_ino, status.st_mtime_ns, status.st_size)
        return stamps


def _fsync(path: str) -> None:
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    os.fsync(descriptor)
    os.close(descriptor)
