"""Attention modules that compute several layers, such as those of Zamba 2.

Ours finds the keys and values of a layer by the number that its module has. A module of several
layers has none, but is told the number in each call.
"""

from typing import Any


def number_shared_attention(model: Any) -> None:
    """Give modules without a number of their own that of the layer they are called for."""
    for module in model.modules():
        if getattr(module, "layer_idx", 0) in (-1, None):
            module.register_forward_pre_hook(_take_number, with_kwargs=True)


def _take_number(module: Any, _arguments: Any, options: dict[str, Any]) -> None:
    module.layer_idx = options.get("layer_idx", module.layer_idx)
