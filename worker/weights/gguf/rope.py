"""Rotary positions of a GGUF file as parameters of transformers.

Llama 3's scaling is not in the metadata: llama.cpp stores the divisors of all frequencies in a
tensor, from which the parameters are found again.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.file import GgufFile

_FREQS = "rope_freqs.weight"
_LONG, _SHORT = "rope_factors_long.weight", "rope_factors_short.weight"
_TOLERANCE = 1e-4
_LLAMA3 = {"low_freq_factor": 1.0, "high_freq_factor": 4.0}
"""Parameters that all Llama 3 networks were trained with."""
_YARN_FIELDS = {"yarn_beta_fast": "beta_fast", "yarn_beta_slow": "beta_slow"}


def rope_parameters(file: GgufFile, rotary_size: int, default_theta: float) -> dict[str, Any]:
    """Return the parameters of rotary positions for heads of which `rotary_size` numbers rotate.

    Raises `BadCheckpointError` for a scaling that has no equivalent.
    """
    theta = float(file.get("rope.freq_base", default_theta))
    if _FREQS in file.tensors:
        return {"rope_theta": theta} | _llama3(file, rotary_size, theta)
    if _LONG in file.tensors and _SHORT in file.tensors:
        return {"rope_theta": theta} | _longrope(file, rotary_size)
    kind = file.get("rope.scaling.type", "none")
    if file.get("rope.scale_linear") not in (None, 1.0):
        return {"rope_theta": theta, "rope_type": "linear", "factor": file.get("rope.scale_linear")}
    if kind in ("none", "") or file.get("rope.scaling.factor", 0.0) in (0.0, 1.0):
        return {"rope_theta": theta, "rope_type": "default"}
    if kind == "linear":
        factor = float(file.get("rope.scaling.factor"))
        return {"rope_theta": theta, "rope_type": "linear", "factor": factor}
    if kind == "yarn":
        return {"rope_theta": theta} | _yarn(file)
    raise BadCheckpointError(f"its rotary positions are scaled by {kind}, which is not supported")


def _yarn(file: GgufFile) -> dict[str, Any]:
    found = {
        "rope_type": "yarn",
        "factor": float(file.get("rope.scaling.factor")),
        "original_max_position_embeddings": _original_context(file),
    }
    for key, name in _YARN_FIELDS.items():
        if (value := file.get(f"rope.scaling.{key}")) is not None:
            found[name] = float(value)
    if (factor := file.get("rope.scaling.yarn_attn_factor")) is not None:
        found["attention_factor"] = float(factor)
    return found


def read_factors(file: GgufFile, name: str, rotary_size: int) -> NDArray[np.float64]:
    """Return one factor for each frequency; raise `BadCheckpointError` for others than positive."""
    tensor = file.tensors[name]
    if tensor.shape != (rotary_size // 2,):
        raise BadCheckpointError(
            f"{name} has the shape {list(tensor.shape)}, for {rotary_size} numbers of a head"
        )
    factors = tensor.read().astype(np.float64)
    if not np.all((factors > 0) & np.isfinite(factors)):
        raise BadCheckpointError(f"{name} has factors that are no numbers above 0")
    return factors


def _longrope(file: GgufFile, rotary_size: int) -> dict[str, Any]:
    context = int(file.get("context_length"))
    original = _original_context(file)
    found: dict[str, Any] = {
        "rope_type": "longrope",
        "long_factor": read_factors(file, _LONG, rotary_size).tolist(),
        "short_factor": read_factors(file, _SHORT, rotary_size).tolist(),
        "original_max_position_embeddings": original,
        "factor": context / original,
    }
    if (factor := file.get("rope.scaling.attn_factor")) is not None:
        found["attention_factor"] = float(factor)
    return found


def _original_context(file: GgufFile) -> int:
    original = file.get("rope.scaling.original_context_length")
    if not original:
        raise BadCheckpointError("its rotary positions are scaled from an unknown context length")
    return int(original)


def _llama3(file: GgufFile, rotary_size: int, theta: float) -> dict[str, Any]:
    """Return parameters whose divisors of frequencies are those of the tensor."""
    divisors = read_factors(file, _FREQS, rotary_size)
    if np.all(divisors == 1):
        return {"rope_type": "default"}
    wavelengths = 2 * math.pi * theta ** (np.arange(len(divisors)) * 2 / rotary_size)
    factor = float(np.round(divisors.max(), 6))
    candidates = [_LLAMA3 | {"original_max_position_embeddings": 8192}]
    candidates += [_solve(divisors, wavelengths, factor)]
    for candidate in candidates:
        found = {"rope_type": "llama3", "factor": factor, **candidate}
        if np.allclose(_divisors(wavelengths, found), divisors, rtol=_TOLERANCE):
            return found
    raise BadCheckpointError(
        f"its rotary positions are scaled by factors ({_FREQS}) that are not those of Llama 3"
    )


def _divisors(wavelengths: NDArray[np.float64], rope: dict[str, Any]) -> NDArray[np.float64]:
    """Return by what Llama 3's scaling divides frequencies of the given wavelengths."""
    ratio = rope["original_max_position_embeddings"] / wavelengths
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    smooth = np.clip((ratio - low) / (high - low), 0, 1)
    result: NDArray[np.float64] = 1 / ((1 - smooth) / rope["factor"] + smooth)
    return result


def _solve(
    divisors: NDArray[np.float64], wavelengths: NDArray[np.float64], factor: float
) -> dict[str, Any]:
    """Return the parameters that follow from the frequencies that are scaled in part.

    There, the smoothing is linear in the frequency; only the ratios of context length and both
    factors matter, so that the lower one can be 1.
    """
    smooth = (1 / divisors - 1 / factor) / (1 - 1 / factor)
    partly = (smooth > _TOLERANCE) & (smooth < 1 - _TOLERANCE)
    if partly.sum() < 2:
        return _LLAMA3 | {"original_max_position_embeddings": 8192}
    slope, offset = np.polyfit(1 / wavelengths[partly], smooth[partly], 1)
    high = 1 - 1 / min(offset, -_TOLERANCE)
    return {
        "low_freq_factor": 1.0,
        "high_freq_factor": float(high),
        "original_max_position_embeddings": round(float(slope * (high - 1))),
    }
