"""Examination of a checkpoint: every problem that its small files and headers reveal.

Loads neither torch nor weights, and takes well under two seconds for the largest models.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from worker.engine.checkpoint.adapter import ADAPTER, find_adapter
from worker.engine.checkpoint.alike import find_lacking_tensors
from worker.engine.checkpoint.config_json import (
    find_bad_config,
    find_missing_config,
    find_unread_quantization,
    find_vast_config,
)
from worker.engine.checkpoint.families import find_refused_family
from worker.engine.checkpoint.files import CONFIG, Checkpoint
from worker.engine.checkpoint.kinds import find_other_kind
from worker.engine.checkpoint.packed_parts import find_lacking_parts
from worker.engine.checkpoint.tokenizer import find_bad_template, find_bad_tokenizer
from worker.engine.checkpoint.weight_files import find_damaged_files, find_missing_files
from worker.engine.interface import BadCheckpointError

Find = Callable[[Checkpoint, Mapping[str, Any]], Iterator[str]]


@dataclass(frozen=True, slots=True)
class Fault:
    """A reason why a checkpoint is not served."""

    check: str
    """Name of the check that found it."""
    problem: str
    """Part of a sentence about the checkpoint ("it has no …"), on one line."""


NETWORK_CHECKS: tuple[tuple[str, Find], ...] = (
    ("adapter", find_adapter),
    ("kind", find_other_kind),
    ("config", find_bad_config),
    ("family", find_refused_family),
    ("config", find_vast_config),
    ("quantization", find_unread_quantization),
    ("files", find_missing_files),
    ("headers", find_damaged_files),
    ("tensors", find_lacking_parts),
    ("tensors", find_lacking_tensors),
)
"""Checks of the network alone, in the order of their reports."""
TEXT_CHECKS: tuple[tuple[str, Find], ...] = (
    ("tokenizer", find_bad_tokenizer),
    ("chat_template", find_bad_template),
)
"""Checks of what turns messages into tokens."""
_OF_OUR_ENGINE = frozenset({"family", "quantization", "tensors"})
"""Checks that say nothing about other engines."""
_OF_FILES = (find_adapter, find_missing_files, find_damaged_files, find_bad_tokenizer)


def checks_of(engine: str) -> list[tuple[str, Find]]:
    """Return the checks of models for an engine, by its name in the settings."""
    checks = (*NETWORK_CHECKS, *TEXT_CHECKS)
    if engine == "transformers":
        return list(checks)
    return [(name, find) for name, find in checks if name not in _OF_OUR_ENGINE]


def examine(
    checkpoint: Checkpoint,
    checks: Sequence[tuple[str, Find]] = (*NETWORK_CHECKS, *TEXT_CHECKS),
) -> Iterator[Fault]:
    """Yield what is wrong with a checkpoint, the most telling first."""
    config: dict[str, Any] | None = None
    problems = [] if ADAPTER in checkpoint.sizes else list(find_missing_config(checkpoint))
    yield from (Fault("config", problem) for problem in problems)
    if CONFIG in checkpoint.sizes:
        try:
            config = checkpoint.read_json(CONFIG)
        except BadCheckpointError as error:
            yield Fault("config", str(error))
    for name, find in checks:
        # Without a configuration, only files can be told about.
        if config is not None or find in _OF_FILES:
            yield from _run(name, find, checkpoint, config or {})


def _run(
    name: str, find: Find, checkpoint: Checkpoint, config: Mapping[str, Any]
) -> Iterator[Fault]:
    try:
        for problem in find(checkpoint, config):
            yield Fault(name, problem)
    except BadCheckpointError as error:
        yield Fault(name, str(error))
