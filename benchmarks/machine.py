"""What the figures were measured on."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pymongo

from backend.devtools.mongod import Mongod
from benchmarks.books import CACHE_GB


def describe(mongod: Mongod, url: str) -> list[tuple[str, str]]:
    """What somebody needs to know who compares figures."""
    with pymongo.MongoClient[dict[str, object]](url) as client:
        version = client.server_info()["version"]
    return [
        ("date", f"{datetime.now(UTC):%Y-%m-%d}"),
        ("commit", _commit()),
        ("CPU", f"{_processor()}, {os.cpu_count()} cores"),
        ("memory", _memory()),
        ("system", _system()),
        ("Python", platform.python_version()),
        ("mongod", f"{version}, replica set of one, cache {CACHE_GB} GB, {_disk(mongod.folder)}"),
        ("writes", "acknowledged by the majority and journaled"),
    ]


def _commit() -> str:
    def git(*arguments: str) -> str:
        return subprocess.run(
            ["git", *arguments], capture_output=True, text=True, check=True, cwd=Path(__file__).parent
        ).stdout.strip()

    try:
        changed = git("status", "--porcelain", "--untracked-files=no")
        return git("rev-parse", "--short", "HEAD") + (" with changes" if changed else "")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def _lines(path: str) -> Iterator[tuple[str, str]]:
    try:
        for line in Path(path).read_text().splitlines():
            name, _, value = line.partition(":")
            yield name.strip(), value.strip()
    except OSError:
        return


def _processor() -> str:
    named = next((value for name, value in _lines("/proc/cpuinfo") if name == "model name"), "")
    return named or platform.processor() or platform.machine()


def _memory() -> str:
    pages, size = os.sysconf("SC_PHYS_PAGES"), os.sysconf("SC_PAGE_SIZE")
    return f"{pages * size / 1024**3:.0f} GiB"


def _system() -> str:
    if sys.platform == "linux":
        return f"{platform.freedesktop_os_release().get('PRETTY_NAME', 'Linux')}, kernel {platform.release()}"
    return platform.platform()


def _disk(folder: Path) -> str:
    """The kind of file system that the data lie on."""
    found = ("", "its kind unknown")
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        mounts = []
    for _, point, kind, *_ in mounts:
        if folder.is_relative_to(point) and len(point) > len(found[0]):
            found = (point, kind)
    return f"data on {found[1]}"
