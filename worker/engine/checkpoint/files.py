"""Files of a checkpoint: a folder of this machine, or the small ones of a model on a hub."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from worker.engine.interface import BadCheckpointError

CONFIG = "config.json"
INDEX = "model.safetensors.index.json"
WEIGHTS = "model.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """Names and sizes of all files of a checkpoint, and a folder with the small ones."""

    folder: Path
    sizes: Mapping[str, int]
    """Bytes of each file by name; files in folders within the folder have no part in it."""
    name: str
    """Name of the model: that of the folder, or `owner/name` on a hub."""
    is_fetched: bool = True
    """False if files of weights are only known by name: they are on a hub."""
    task: str = ""
    """Task that the hub lists the model under, such as `text-generation`."""
    other_template: Path | None = None
    """File with a chat template for a checkpoint that has none."""

    @classmethod
    def of_folder(cls, folder: Path, *, other_template: Path | None = None) -> "Checkpoint":
        """Return the checkpoint in a folder of this machine."""
        sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.is_file()}
        return cls(folder=folder, sizes=sizes, name=folder.name, other_template=other_template)

    @property
    def weight_files(self) -> list[str]:
        """Names of the safetensors files, in order."""
        return sorted(name for name in self.sizes if name.endswith(".safetensors"))

    def read_json(self, name: str) -> dict[str, Any]:
        """Return the content of a file; raise `BadCheckpointError` if it is no JSON object."""
        try:
            found = orjson.loads((self.folder / name).read_bytes())
        except FileNotFoundError as error:
            raise BadCheckpointError(f"it has no {name}") from error
        except OSError as error:
            raise BadCheckpointError(f"{name} cannot be read: {error.strerror}") from error
        except ValueError as error:
            raise BadCheckpointError(f"{name} is no JSON: {error}") from error
        if not isinstance(found, dict):
            raise BadCheckpointError(f"{name} is no JSON object")
        return found


def name_some(names: list[str], noun: str) -> str:
    """Return the number of names and the first of them."""
    num_named = 3
    more = ", …" if len(names) > num_named else ""
    noun = noun if len(names) != 1 else noun.removesuffix("s")
    return f"{len(names)} {noun} ({', '.join(names[:num_named])}{more})"
