"""Check of what transformers reports of a load: every tensor was read, and each has its place.

transformers fills tensors that a checkpoint lacks with random numbers, and leaves out those that it
has no place for: a folder in a foreign format, or one with a file missing, would load as noise.
"""

from collections.abc import Collection, Mapping
from typing import Any

from huggingface_hub.errors import StrictDataclassError

from worker.engine.checkpoint.files import name_some
from worker.engine.interface import BadCheckpointError

CONFIG_ERRORS = (
    *(ArithmeticError, AssertionError, AttributeError, ImportError, LookupError),
    *(RuntimeError, StrictDataclassError, TypeError, ValueError),
)
"""Errors of transformers for a configuration that it does not understand."""
_MAX_MESSAGE = 300
# Buffers that older checkpoints contain and networks compute by themselves.
_COMPUTED_BUFFERS = ("inv_freq", "masked_bias", "attn.bias", "position_ids", "causal_mask")


def check_loaded(report: Mapping[str, Any], parameters: Collection[str]) -> None:
    """Raise `BadCheckpointError` unless every tensor was read, and each found its place.

    `report` is the loading information of transformers; `parameters` are the names of the network's
    tensors. Tensors of parts that the network does not have, such as a vision part, are ignored.
    """
    missing = sorted(report["missing_keys"])
    if missing:
        raise BadCheckpointError(f"it lacks {name_some(missing, 'tensors')}")
    modules = {name.rpartition(".")[0] for name in parameters}
    surplus = [
        name
        for name in sorted(report["unexpected_keys"])
        if name.rpartition(".")[0] in modules and not name.endswith(_COMPUTED_BUFFERS)
    ]
    if surplus:
        raise BadCheckpointError(f"the network has no place for {name_some(surplus, 'tensors')}")
    if report.get("mismatched_keys"):
        names = sorted(name for name, *_shapes in report["mismatched_keys"])
        raise BadCheckpointError(f"the shapes differ of {name_some(names, 'tensors')}")


def one_line(error: BaseException) -> str:
    """Return the type and message of an error in one line of at most 300 characters."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    return text if len(text) <= _MAX_MESSAGE else f"{text[: _MAX_MESSAGE - 1]}…"
