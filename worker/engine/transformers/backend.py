"""Choice of the library that computes a network: OpenVINO on CPUs, torch elsewhere."""

from worker.engine.interface import EngineConfig, UnsupportedModelError
from worker.engine.transformers.device import resolve_device
from worker.engine.transformers.model.layer_types import keeps_states


def uses_openvino(config: EngineConfig) -> bool:
    """Return True if OpenVINO is the preferred backend for the network.

    It is on CPUs, except for networks that keep a state per sequence, which only torch computes.
    Raises `UnsupportedModelError` if the configuration needs a feature of OpenVINO but excludes it,
    by its device or backend, or for such a network.
    """
    obstacle = _find_obstacle(config)
    if obstacle and (reason := find_openvino_setting(config)):
        raise UnsupportedModelError(f"{reason} is for OpenVINO on CPUs, not for {obstacle}")
    return not obstacle


def _find_obstacle(config: EngineConfig) -> str:
    """Return what excludes OpenVINO, or an empty string."""
    if resolve_device(config.device).type != "cpu":
        return "a device other than a CPU"
    if config.forward == "torch":
        return "torch"
    from worker.engine.transformers.openvino.store import is_converted

    # What has been converted keeps no states; transformers, which reads configurations, is slow to
    # import.
    if not is_converted(config) and keeps_states(config.folder):
        return "a network that keeps a state per sequence"
    return ""


def find_openvino_setting(config: EngineConfig) -> str:
    """Return the setting that only OpenVINO supports, or an empty string."""
    if config.forward == "openvino":
        return "ANTIPHON_FORWARD=openvino"
    if config.dtype == "int4":
        return "ANTIPHON_DTYPE=int4"
    return "ANTIPHON_KV_CACHE_DTYPE=int8" if config.kv_cache_dtype == "int8" else ""
