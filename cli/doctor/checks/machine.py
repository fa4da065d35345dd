"""The machine itself: disk, memory, limits on open files, and the weights on it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation

_GIB = 1 << 30
_MIN_FREE_GIB = 2.0
_MIN_FREE_SHARE = 0.03
_OTHER_MEMORY_GIB = 1.0
"""Memory of the API, of Postgres and of Valkey at rest."""
_OURS = frozenset({"pg", "valkey", "run", "log", "weights", "secret", "huggingface"})
"""Names in a data folder of ours, which has one of them at least."""
_OUTPUT = (".out", ".log")
"""Endings of files that the output may have been sent to."""
_OTHER_FILES = 1256
"""Open files of an API process beside streams: connections for other requests, and its own."""


def disk(at: Installation) -> Iterator[Finding]:
    """Look if the disk of the data folder has room."""
    usage = shutil.disk_usage(_existing(at.settings.data_dir))
    if usage.free < _MIN_FREE_SHARE * usage.total or has_little_room(at.settings.data_dir):
        yield little_room(at.settings.data_dir)


def has_little_room(folder: Path, gib: float = _MIN_FREE_GIB) -> bool:
    """Return True if less than `gib` GiB are free on the disk of a folder."""
    return shutil.disk_usage(_existing(folder)).free < gib * _GIB


def little_room(folder: Path) -> Finding:
    """Return the finding for a disk that is nearly full."""
    free = shutil.disk_usage(_existing(folder)).free
    return Finding(
        f"{free / _GIB:.1f} GiB are free on the disk of {folder}",
        "make room, or name a folder on another disk: ANTIPHON_DATA_DIR",
    )


def data_folder(at: Installation) -> Iterator[Finding]:
    """Look if the data folder is ours."""
    folder = at.settings.data_dir
    nearest = _existing(folder)
    if nearest != folder and not os.access(nearest, os.W_OK | os.X_OK):
        yield Finding(
            f"{folder} cannot be created: {nearest} is not writable for this user",
            "name a folder of yours: ANTIPHON_DATA_DIR",
        )
        return
    if nearest != folder:
        return
    if not folder.is_dir():
        yield Finding(f"{folder} is no folder", "name a folder: ANTIPHON_DATA_DIR")
    elif not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
        yield Finding(
            f"{folder} belongs to {_owner(folder)}, and is not writable for this user",
            f"start as {_owner(folder)}, or name a folder of yours: ANTIPHON_DATA_DIR",
        )
    else:
        yield from _find_foreign(folder)


def _find_foreign(folder: Path) -> Iterator[Finding]:
    """Yield a finding if a folder with files of others was named."""
    names = {path.name for path in folder.iterdir() if not path.name.endswith(_OUTPUT)}
    if names and not any(name in _OURS or name.startswith(("pg.", ".")) for name in names):
        yield Finding(
            f"{folder} has files of something else: {', '.join(sorted(names)[:3])}",
            "name an empty folder: ANTIPHON_DATA_DIR",
        )


def memory(at: Installation) -> Iterator[Finding]:
    """Look if there is memory for the weights and the cache of each worker."""
    settings = at.settings
    if settings.engine == "scripted":
        raise NotApplicable("the scripted engine needs next to none")
    if at.is_running:
        raise NotApplicable("the workers have theirs")
    needed_gib = _OTHER_MEMORY_GIB
    for model in settings.split_by_model():
        needed_gib += settings.workers * (settings.kv_cache_gib + _weights_gib(model))
    available_gib = _available_gib(at.proc)
    if available_gib < needed_gib:
        yield Finding(
            f"{available_gib:.1f} GiB of memory are available, about {needed_gib:.1f} are needed",
            "lower ANTIPHON_KV_CACHE_GIB or ANTIPHON_WORKERS, or choose ANTIPHON_DTYPE=int8",
        )


def open_files(at: Installation) -> Iterator[Finding]:
    """Look if a process may open as many files as its streams need; it raises the soft limit."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = at.settings.api_streams + _OTHER_FILES
    if hard not in (resource.RLIM_INFINITY,) and hard < needed:
        yield Finding(
            f"a process may open {hard} files; {at.settings.api_streams} streams need {needed}",
            f"ulimit -Hn {needed} (LimitNOFILE= in systemd), or lower ANTIPHON_API_STREAMS",
        )


def weights(at: Installation) -> Iterator[Finding]:
    """Look if the weights of the served models are whole."""
    from cli.doctor.weights_files import find_fault
    from models.profile.weights import locate_weights

    if at.settings.engine == "scripted":
        raise NotApplicable("the scripted engine has none")
    for settings in at.settings.split_by_model():
        located = locate_weights(settings)
        fix = "./antiphon models pull"
        if not located.is_ready and located.source != "folder":
            problem = f"weights of {located.model_id}: they are not in {located.folder}"
            yield Finding(problem, fix)
        elif fault := find_fault(settings):
            if located.source == "folder":
                fix = f"mend {located.folder}, or name another model: ANTIPHON_MODEL"
            else:
                fix = f"remove {located.folder}, then {fix}"
            yield Finding(fault, fix)


def _weights_gib(settings: object) -> float:
    """Return the size of the files of a model on disk; 0 if they are not here yet."""
    from models.profile.weights import locate_weights
    from models.settings import Settings

    assert isinstance(settings, Settings)
    folder = locate_weights(settings).folder
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) / _GIB


def _available_gib(proc: Path) -> float:
    lines = (proc / "meminfo").read_text().splitlines() if (proc / "meminfo").exists() else []
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / (1 << 20)
    raise NotApplicable("this system does not say how much memory is available")


def _existing(path: Path) -> Path:
    return next(folder for folder in (path, *path.parents) if folder.exists())


def _owner(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:
        return str(path.stat().st_uid)
