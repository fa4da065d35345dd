"""Model family: a name that people know, and the configuration of a tiny network like it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["text", "images", "encoder-decoder", "embeddings", "reranker"]


@dataclass(frozen=True, slots=True)
class Family:
    """Row of a table of families."""

    name: str
    """Name under which it is published, with the sizes or versions where they differ."""
    model_type: str
    """Name of its configuration in transformers."""
    changes: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the configuration that differ from `SIZES`; those of a part are a mapping under the
    part's name, which has a `model_type` if the part can be of several."""
    kind: Kind = "text"
    """Task of the network; `images` are models with a vision part, compared on text alone."""
    note: str = ""
    """Remark for docs/models.md: its needs, or its differences from what is published."""


@dataclass(frozen=True, slots=True)
class Group:
    """Families that need the same feature of the engine."""

    title: str
    families: tuple[Family, ...]
    is_served: bool = True
    """False for families that are to be refused."""
