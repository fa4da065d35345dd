"""Check that no layer or expert of a checkpoint lacks tensors that all others have.

It finds most damage without torch, in which the network would have to be built to know its tensors.
Networks whose layers differ are left to that check, and so are first and last layers.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from worker.engine.checkpoint.files import Checkpoint, name_some
from worker.engine.checkpoint.quantizations import find_quantization
from worker.engine.checkpoint.weight_files import read_tensors
from worker.engine.interface import BadCheckpointError

LAYER = re.compile(r"^(.*?\b(?:layers|h|blocks))\.(\d+)\.(.+)$")
_EXPERT = re.compile(r"^(.*\bexperts)\.(\d+)\.(.+)$")
_MIN_LAYERS = 4

Stacks = Mapping[str, Mapping[int, set[str]]]
"""Names of tensors by stack of layers or experts, and by their number in the stack."""


def find_lacking_layers(checkpoint: Checkpoint, config: Mapping[str, Any]) -> Iterator[str]:
    """Yield a problem if experts or inner layers lack tensors that all others have."""
    # Quantisers leave out single layers, which then have other tensors.
    if not checkpoint.is_fetched or find_quantization(config, {}) is not None:
        return
    try:
        tensors = read_tensors(checkpoint)
    except BadCheckpointError:  # reported by the check of the files
        return
    lacking = [
        name for stack in split_stacks(_EXPERT, tensors).items() for name in _experts(*stack)
    ]
    text = config.get("text_config") or config
    # With shared keys, the last layers have none of their own.
    if not lacking and not text.get("num_kv_shared_layers"):
        lacking = [
            name for stack in split_stacks(LAYER, tensors).items() for name in _layers(*stack)
        ]
    if lacking:
        yield f"it lacks {name_some(lacking, 'tensors')}, unlike its other layers or experts"


def split_stacks(pattern: re.Pattern[str], names: Iterable[str]) -> Stacks:
    """Return the tensors whose names match a pattern of stack, number and rest of the name."""
    stacks: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        if match := pattern.match(name):
            stacks[match[1]][int(match[2])].add(match[3])
    return stacks


def _experts(stack: str, experts: Mapping[int, set[str]]) -> list[str]:
    """Return the tensors that experts of a layer lack: they are all alike."""
    return _differences(stack, experts, range(max(experts) + 1), set().union(*experts.values()))


def _layers(stack: str, layers: Mapping[int, set[str]]) -> list[str]:
    """Return the tensors that one inner layer lacks, if all others are alike, and layers gone.

    Two layers that lack the same may be meant so.
    """
    num_layers = max(layers) + 1
    usual = max(layers.values(), key=len)
    others = [index for index in range(1, num_layers - 1) if layers.get(index) != usual]
    odd = [layers[index] for index in others if index in layers]
    is_meant = len(odd) > 1 or len(others) > num_layers // 2 or not all(row < usual for row in odd)
    if num_layers < _MIN_LAYERS or is_meant:
        return []
    return _differences(stack, layers, others, usual)


def _differences(
    stack: str, members: Mapping[int, set[str]], numbers: Iterable[int], usual: set[str]
) -> list[str]:
    return [
        f"{stack}.{number}.{name}"
        for number in numbers
        for name in sorted(usual - members.get(number, set()))
    ]
