"""What the engine that the settings select can do, beyond what the weights say of themselves."""

from dataclasses import dataclass

from models.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineCapabilities:
    """Capabilities by which the API refuses, by name, what its workers could not do."""

    reads_images: bool = True
    """False if images are refused although the model takes some."""
    max_context: int | None = None
    """Largest number of tokens of a sequence, prompt included; None if the weights alone limit."""

    def limit(self, context_length: int) -> int:
        """Return the context of a model in this engine."""
        return context_length if self.max_context is None else min(context_length, self.max_context)


ALL_CAPABILITIES = EngineCapabilities()


def engine_capabilities(settings: Settings) -> EngineCapabilities:
    """Return what the workers of these settings can do."""
    if settings.engine != "vllm":
        return ALL_CAPABILITIES
    return EngineCapabilities(reads_images=False, max_context=settings.vllm_args.max_model_len)
