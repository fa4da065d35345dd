"""Test build: patches applied to the modules of a cluster's processes when they are imported.

Always: database connections carry the name of their process, for the audit; a request with the
poison marker kills its worker; an engine or a heartbeat can be made to hang, an emitter to fail. On
demand: one of the `mutants`, each of which switches a guarantee off.
"""

import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.chaos.mutants import MUTANTS
from tests.chaos.plan import POISON

MUTANT = "CHAOS_MUTANT"
"""Environment variable with the name of the mutant; no mutant if unset."""

EAGER = "CHAOS_EAGER"
"""Environment variable; if set, crashed children are always restarted at once."""

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join((str(Path(__file__).with_name("hooks")), str(ROOT)))

Patch = Callable[[Any], None]

_POISON_AFTER_TOKENS = 3
_BEAT_LIMIT_S = 8.0


def writer_name() -> str:
    """Return the name of this process in the audit."""
    role = sys.argv[1] if len(sys.argv) > 1 else "python"
    return f"antiphon {role} {os.getpid()}"


def install() -> None:
    """Patch modules as they are imported from now on."""
    patches: dict[str, list[Patch]] = {
        "models.database.pool": [_name_writer],
        "worker.engine.loop": [_die, _hang],
        "worker.generation.emitter": [_fail_to_emit],
        "worker.process.heartbeat": [_stop_beating],
        "worker.process.timings": [_notice_soon],
    }
    if os.environ.get(EAGER):
        patches["cli.supervisor.backoff"] = [_restart_at_once]
    for module, patch in MUTANTS.get(os.environ.get(MUTANT, ""), {}).items():
        patches.setdefault(module, []).append(patch)
    sys.meta_path.insert(0, PatchingFinder(patches))


def _name_writer(pool: Any) -> None:
    create_engine = pool.create_engine

    def create_named(url: str, *, connect_args: dict[str, object], **options: object) -> object:
        named = {**connect_args, "application_name": writer_name()}
        return create_engine(url, connect_args=named, **options)

    pool.create_engine = create_named


def _die(loop: Any) -> None:
    """Make a sequence with the poison marker kill its process after a few tokens."""
    try_step = loop.EngineLoop._try_step
    # As the scripted engine counts bytes, and as the tokenizer of the tiny network does.
    markers = (list(POISON.encode()), [byte - ord("!") for byte in POISON.encode()])

    def step_or_die(self: Any) -> object:
        for sequence in self._running():
            is_due = sequence.num_generated >= _POISON_AFTER_TOKENS
            if is_due and list(sequence.tokens[: len(POISON)]) in markers:
                os.kill(os.getpid(), signal.SIGKILL)
        return try_step(self)

    loop.EngineLoop._try_step = step_or_die


def _restart_at_once(backoff: Any) -> None:
    backoff.Backoff.next_delay_s = lambda self, uptime_s: 0.0


def _hang(loop: Any) -> None:
    """Make the engine hang at its next step while the file `hang-<pid>` exists."""
    try_step = loop.EngineLoop._try_step

    def step_or_hang(self: Any) -> object:
        while _order("hang").exists():
            time.sleep(1)
        return try_step(self)

    loop.EngineLoop._try_step = step_or_hang


def _stop_beating(heartbeat: Any) -> None:
    """Make the heartbeat hang at its next beat while the file `deafen-<pid>` exists."""
    beat = heartbeat.Heartbeat._beat

    def beat_or_hang(self: Any) -> None:
        while _order("deafen").exists():
            time.sleep(1)
        beat(self)

    heartbeat.Heartbeat._beat = beat_or_hang


def _fail_to_emit(emitter: Any) -> None:
    """Make the emitter raise at its next step if the file `break-<pid>` exists."""
    emit = emitter.Emitter.emit

    def emit_or_fail(self: Any, deltas: Any) -> None:
        if _order("break").exists():
            _order("break").unlink()
            raise RuntimeError("broken by the nemesis")
        emit(self, deltas)

    emitter.Emitter.emit = emit_or_fail


def _notice_soon(timings: Any) -> None:
    """Make a heartbeat that hangs show sooner than in production."""
    timings.WorkerTimings.__init__.__kwdefaults__["beat_limit_s"] = _BEAT_LIMIT_S


def _order(what: str) -> Path:
    """Return the file by which the nemesis orders this process to misbehave."""
    return Path(os.environ.get("ANTIPHON_DATA_DIR", "."), f"{what}-{os.getpid()}")


class PatchingFinder(MetaPathFinder):
    """Finder that patches some modules right after they are executed."""

    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the module's usual spec, with the patches applied by its loader."""
        patches = self._patches.get(name)
        if patches is None:
            return None
        spec = PathFinder.find_spec(name, path, target)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def execute_and_patch(module: ModuleType) -> None:
            execute(module)
            for patch in patches:
                patch(module)

        spec.loader.exec_module = execute_and_patch  # type: ignore[method-assign]
        return spec
