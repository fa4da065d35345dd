"""Pure compute: requests for tokens in, tokens out; no HTTP, no queue, no database.

Everything others may use is named here. The tensor libraries load with `TransformersEngine`.
"""

from typing import TYPE_CHECKING, Any

from worker.engine.interface import (
    Delta,
    Engine,
    EngineConfig,
    EngineStoppedError,
    FinishReason,
    GenerationRequest,
    Logprobs,
    ModelTooLargeError,
    Opening,
    PromptImage,
    RequestTooLargeError,
    StepListener,
    Tokenizer,
    UnsupportedModelError,
)
from worker.engine.params import (
    BREAKER_END,
    BREAKER_START,
    DryParams,
    SamplingParams,
    choice_seed,
)
from worker.engine.scripted import ScriptedEngine, ScriptedTokenizer

if TYPE_CHECKING:
    from worker.engine.transformers.engine import TransformersEngine

__all__ = [
    "BREAKER_END",
    "BREAKER_START",
    "Delta",
    "DryParams",
    "Engine",
    "EngineConfig",
    "EngineStoppedError",
    "FinishReason",
    "GenerationRequest",
    "Logprobs",
    "ModelTooLargeError",
    "Opening",
    "PromptImage",
    "RequestTooLargeError",
    "SamplingParams",
    "ScriptedEngine",
    "ScriptedTokenizer",
    "StepListener",
    "Tokenizer",
    "TransformersEngine",
    "UnsupportedModelError",
    "choice_seed",
]


def __getattr__(name: str) -> Any:
    if name != "TransformersEngine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from worker.engine.transformers.engine import TransformersEngine

    return TransformersEngine
