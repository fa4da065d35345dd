"""Virtual environments, one per peer, so that their package versions cannot conflict.

`make peers-install` creates them, and records the error of those that cannot be installed.
"""

import hashlib
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from bench.server import ROOT, BenchError

_FOLDER = ROOT / ".venv-peers"
_REQUIREMENTS = Path(__file__).with_name("requirements")
_NUM_LINES = 3

Command = list[str | Path]


@dataclass(frozen=True, kw_only=True)
class Environment:
    """Virtual environment installed from a file of pinned requirements."""

    name: str
    requirements: str
    distribution: str
    """Package whose version is that of the peer."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Environment variables to build its packages with."""
    finish: Callable[["Environment"], None] | None = None
    """Further setup after the packages are installed."""

    @property
    def folder(self) -> Path:
        """Folder of the environment, which need not exist."""
        return _FOLDER / self.name

    @property
    def python(self) -> Path:
        """Python interpreter of the environment."""
        return self.folder / "bin" / "python"

    @cached_property
    def site_packages(self) -> Path:
        """Folder of its packages, which exists once the environment is created."""
        return Path(sysconfig.get_path("purelib", vars={"base": str(self.folder)}))

    def check(self) -> None:
        """Raise `BenchError` with the reason if it is not installed from these requirements."""
        if self._failed.exists():
            raise BenchError(self._failed.read_text())
        if not self._is_installed():
            raise BenchError("not installed: make peers-install")

    def version(self) -> str:
        """Return the version of the peer's package; raise `BenchError` if it is not installed."""
        self.check()
        return self.installed_version()

    def installed_version(self) -> str:
        """Return the version of the peer's package, which must be installed."""
        code = f"from importlib.metadata import version; print(version({self.distribution!r}))"
        return subprocess.check_output([self.python, "-c", code], text=True).strip()

    def install(self) -> None:
        """Install it, unless it is installed from the same requirements already.

        Raises `BenchError` if that fails.
        """
        if self._is_installed():
            return
        self._failed.unlink(missing_ok=True)
        try:
            self._make()
        except BenchError as error:
            self._failed.write_text(str(error))
            raise
        self._installed.write_text(self._digest())

    def _make(self) -> None:
        _run([Path(sys.executable), "-m", "venv", self.folder])
        pip: Command = [self.python, "-m", "pip", "--disable-pip-version-check"]
        # --no-deps: the file pins every package, so pip has nothing to resolve.
        # --no-cache-dir: pip would reuse a cached wheel that was built with other options.
        pip += ["install", "--no-deps", *(["--no-cache-dir"] if self.variables else [])]
        _run([*pip, "-r", self._pins], self.variables)
        if self.finish is not None:
            self.finish(self)

    def _is_installed(self) -> bool:
        return self._installed.exists() and self._installed.read_text() == self._digest()

    def _digest(self) -> str:
        settings = "".join(f"{name}={text}\n" for name, text in sorted(self.variables.items()))
        return hashlib.sha256(self._pins.read_bytes() + settings.encode()).hexdigest()

    @property
    def _pins(self) -> Path:
        return _REQUIREMENTS / self.requirements

    @property
    def _installed(self) -> Path:
        return self.folder / ".installed"

    @property
    def _failed(self) -> Path:
        return self.folder / ".failed"


def link_our_packages(environment: Environment) -> None:
    """Add our own packages to its path: the same build of torch, and no second download."""
    path = environment.site_packages / "ours.pth"
    path.write_text(f"{sysconfig.get_path('purelib')}\n")


def _run(command: Command, variables: Mapping[str, str] | None = None) -> None:
    environment = dict(os.environ) | dict(variables or {})
    found = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    if found.returncode:
        last = " / ".join(found.stdout.strip().splitlines()[-_NUM_LINES:])
        raise BenchError(f"not installed: {last}")
