"""What an engine can do, beyond what the weights say of themselves.

The API knows it by its own settings, and workers publish it with their leases.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from models.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCapabilities:
    """Capabilities by which the API refuses, by name, what its workers could not do."""

    reads_images: bool = True
    """False if images are refused although the model takes some."""
    constrains_output: bool = True
    """False if the output cannot be held to a grammar."""
    max_context: int | None = None
    """Largest number of tokens of a sequence, prompt included; None if the weights alone limit."""

    def limit(self, context_length: int) -> int:
        """Return the context of a model in this engine."""
        return context_length if self.max_context is None else min(context_length, self.max_context)

    def common(self, other: "EngineCapabilities") -> "EngineCapabilities":
        """Return what this engine and another can both do."""
        limits = [each.max_context for each in (self, other) if each.max_context is not None]
        return EngineCapabilities(
            reads_images=self.reads_images and other.reads_images,
            constrains_output=self.constrains_output and other.constrains_output,
            max_context=min(limits, default=None),
        )

    def to_json(self) -> dict[str, Any]:
        """Return them as plain data."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """Return the capabilities that a worker of any release has published."""
        known = cls.__dataclass_fields__
        return cls(**{name: value for name, value in data.items() if name in known})


ALL_CAPABILITIES = EngineCapabilities()


def engine_capabilities(settings: Settings) -> EngineCapabilities:
    """Return what the workers of these settings can do."""
    if settings.engine != "vllm":
        return ALL_CAPABILITIES
    arguments = settings.vllm_args
    return EngineCapabilities(
        reads_images=not arguments.language_model_only, max_context=arguments.max_model_len
    )
