"""The test build: what is patched into the processes of a cluster, when their modules load.

Always: connections say which process they belong to, so that the audit knows who wrote; a request
marked as poison kills its worker. On demand: one of the `mutants`, each a guarantee switched off.
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
"""Environment variable: the mutant to make, none if not set."""

EAGER = "CHAOS_EAGER"
"""Environment variable: if set, a child that crashed is started again at once, however often."""

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join((str(Path(__file__).with_name("hooks")), str(ROOT)))

Patch = Callable[[Any], None]

_POISON_AFTER_TOKENS = 3


def writer_name() -> str:
    """How the audit names this process."""
    role = sys.argv[1] if len(sys.argv) > 1 else "python"
    return f"antiphon {role} {os.getpid()}"


def install() -> None:
    """Patch modules as they are imported from now on."""
    patches: dict[str, list[Patch]] = {
        "models.database.connection": [_name_writer],
        "worker.engine.scripted": [_die, _hang],
    }
    if os.environ.get(EAGER):
        patches["cli.supervisor.backoff"] = [_restart_at_once]
    for module, patch in MUTANTS.get(os.environ.get(MUTANT, ""), {}).items():
        patches.setdefault(module, []).append(patch)
    sys.meta_path.insert(0, _PatchingFinder(patches))


def _name_writer(db: Any) -> None:
    create_engine = db.create_engine

    def create_named(url: str, *, connect_args: dict[str, object], **options: object) -> object:
        named = {**connect_args, "application_name": writer_name()}
        return create_engine(url, connect_args=named, **options)

    db.create_engine = create_named


def _die(scripted: Any) -> None:
    """A poisoned sequence kills its process once it has some tokens."""
    append = scripted.ScriptedEngine._append
    marker = list(POISON.encode())

    def append_or_die(self: Any, sequence: Any) -> object:
        is_due = sequence.num_generated >= _POISON_AFTER_TOKENS
        if is_due and sequence.tokens[: len(marker)] == marker:
            os.kill(os.getpid(), signal.SIGKILL)
        return append(self, sequence)

    scripted.ScriptedEngine._append = append_or_die


def _restart_at_once(backoff: Any) -> None:
    backoff.Backoff.next_delay_s = lambda self, uptime_s: 0.0


def _hang(scripted: Any) -> None:
    """The engine stops for ever at its next step once the file `hang-<pid>` is there."""
    step = scripted.ScriptedEngine._step
    order = Path(os.environ.get("ANTIPHON_DATA_DIR", "."), f"hang-{os.getpid()}")

    def step_or_hang(self: Any) -> object:
        while order.exists():
            time.sleep(1)
        return step(self)

    scripted.ScriptedEngine._step = step_or_hang


class _PatchingFinder(MetaPathFinder):
    """Finds modules as usual and patches some of them right after they ran."""

    def __init__(self, patches: dict[str, list[Patch]]) -> None:
        self._patches = patches

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """The module's own spec, its loader followed by the patches."""
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
