"""Places of a network's tensors in a GGUF file, by the tables of names of the gguf library."""

import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import gguf

from worker.weights.gguf.transforms import Join

_EXPERT = re.compile(r"^(?:model\.)?layers\.(\d+)\..*experts\.(\d+)\.(\w+)\.weight$")
_EXPERT_TENSORS = {
    "gate_proj": "ffn_gate_exps",
    "w1": "ffn_gate_exps",
    "up_proj": "ffn_up_exps",
    "w3": "ffn_up_exps",
    "down_proj": "ffn_down_exps",
    "w2": "ffn_down_exps",
}
_STACKED = re.compile(r"^model\.altup_(projections|unembed_projections)\.(\d+)\.weight$")
_STACKED_TENSORS = {"projections": "altup_proj", "unembed_projections": "altup_unembd_proj"}
_LAYER = re.compile(r"\blayers\.(\d+)\.")
_RENAMED = {
    "dt_bias": "dt_proj.bias",
    "e_score_correction_bias": "e_score_correction.bias",
    "expert_bias": "expert_bias.bias",
}
"""Ends of names that the converter of llama.cpp changes before it looks them up."""
_UNUSED = re.compile(r"^(rope_freqs|rope_factors_long|rope_factors_short)\.weight$")
"""Tensors that are read for the configuration."""


@dataclass(frozen=True, slots=True)
class Source:
    """Tensors of a GGUF file that a tensor of a network is made of."""

    names: tuple[str, ...]
    expert: int | None = None
    """Index in a tensor that holds those of all experts of a layer, or several of one shape."""
    join: Join | None = None
    """How several are joined, or one is changed; None if it is taken as it is."""


class TensorNames:
    """Names of the tensors of an architecture with a number of layers."""

    def __init__(self, architecture: str, num_layers: int, joins: Collection[Join]) -> None:
        kind = next(key for key, name in gguf.MODEL_ARCH_NAMES.items() if name == architecture)
        self._table = gguf.get_tensor_name_map(kind, num_layers)
        self._joins = joins

    def find(self, name: str, stored: Collection[str]) -> Source | None:
        """Return what a tensor of a checkpoint is made of; None if the file has no such tensors."""
        candidates = (self._joined(name), _of_expert(name), _stacked(name), *self._plain(name))
        return next(
            (each for each in candidates if each is not None and set(each.names) <= set(stored)),
            None,
        )

    def _joined(self, name: str) -> Source | None:
        layer = _LAYER.search(name)
        for join in self._joins:
            if layer is not None and join.pattern.search(name):
                names = tuple(f"blk.{layer[1]}.{tensor}" for tensor in join.names)
                return Source(names, join=join)
        return None

    def _plain(self, name: str) -> list[Source]:
        for end, other in _RENAMED.items():
            name = name.removesuffix(end) + other if name.endswith(end) else name
        stem, _, suffix = name.rpartition(".")
        if suffix not in ("weight", "bias"):
            found = self._table.get_name(name)
            return [Source((f"{found}.weight",)), Source((f"{found}",))]
        return [Source((f"{self._table.get_name(stem)}.{suffix}",))]


def unused_tensors(sources: Iterable[Source], names: Iterable[str]) -> list[str]:
    """Return the tensors of a file that no tensor of the network is made of, in order."""
    used = {name for source in sources for name in source.names}
    return sorted(name for name in names if name not in used and not _UNUSED.match(name))


def _of_expert(name: str) -> Source | None:
    match = _EXPERT.match(name)
    if match is None or match[3] not in _EXPERT_TENSORS:
        return None
    return Source((f"blk.{match[1]}.{_EXPERT_TENSORS[match[3]]}.weight",), int(match[2]))


def _stacked(name: str) -> Source | None:
    match = _STACKED.match(name)
    if match is None:
        return None
    return Source((f"{_STACKED_TENSORS[match[1]]}.weight",), int(match[2]))
