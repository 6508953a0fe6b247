"""What a run was measured on, in words that a table can carry."""
import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path

PACKAGES = ("torch", "safetensors", "moonclip", "tensorfs", "orbax-checkpoint", "zipnn")


def describe() -> dict[str, str]:
    return {"processor": f"{_cpu_model()}, {os.cpu_count()} cores, {_memory_gib():.0f} GiB",
            "system": f"{_os_name()}, Linux {platform.release()}, Python {platform.python_version()}",
            "packages": ", ".join(f"{name} {version}" for name in PACKAGES if (version := _version(name))),
            "ckpstore": _commit()}


def file_system(path: Path) -> str:
    """"ext4", "tmpfs", ..."""
    result = subprocess.run(["stat", "--file-system", "--format=%T", str(path)], capture_output=True, text=True,
                            check=True)
    return result.stdout.strip().removesuffix("/ext3").replace("ext2", "ext4")  # the three share one number


def load_average() -> float:
    return round(os.getloadavg()[0], 1)


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def _memory_gib() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def _os_name() -> str:
    return platform.freedesktop_os_release().get("PRETTY_NAME", "Linux")


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True,
                              check=False).stdout.strip()
    changed = git("status", "--porcelain", "--untracked-files=no", "--", ":(top)", ":(top,exclude)bench/results")
    return (git("rev-parse", "--short=10", "HEAD") or "unknown") + (", with local changes" if changed else "")
