"""Where the weights of the served model lie and what the model is called; no loading, no torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from models.settings import DEFAULT_MODEL, Settings

SCRIPTED_MODEL = "scripted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """The served model: its public id and the folder its files are (or will be) in."""

    model_id: str
    source: Literal["builtin", "folder", "gguf", "hub"]
    folder: Path
    """safetensors, config.json and tokenizer.json; the tokenizer is all that the API reads."""

    @property
    def is_ready(self) -> bool:
        """Whether the folder is complete: the config is written last."""
        return (self.folder / "config.json").is_file()


def served_model_id(settings: Settings) -> str:
    """What clients call the model; the scripted engine never passes for one."""
    if settings.engine != "scripted":
        return locate_weights(settings).model_id
    is_default = settings.model == DEFAULT_MODEL
    return SCRIPTED_MODEL if is_default else f"{SCRIPTED_MODEL}-{settings.model}"


def locate_weights(settings: Settings) -> Weights:
    """Resolve `ANTIPHON_MODEL`: the built-in default, a folder, a .gguf file or a hub id."""
    path = Path(settings.model).expanduser()
    store = settings.data_dir / "weights"
    if settings.model == DEFAULT_MODEL:
        return Weights(model_id=DEFAULT_MODEL, source="builtin", folder=store / DEFAULT_MODEL)
    if path.is_dir():
        return Weights(model_id=path.resolve().name, source="folder", folder=path.resolve())
    if path.suffix == ".gguf":
        return Weights(model_id=path.stem, source="gguf", folder=store / path.stem)
    return Weights(
        model_id=settings.model, source="hub", folder=store / settings.model.replace("/", "--")
    )
