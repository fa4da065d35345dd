"""Start of vLLM's engine in this process, from our configuration."""

import logging
import os
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from transformers import AutoConfig, GenerationConfig

from worker.engine.cpu_cores import num_cores
from worker.engine.device_errors import is_out_of_memory
from worker.engine.interface import EngineConfig, ModelTooLargeError, UnsupportedModelError
from worker.engine.params import MAX_TOP_LOGPROBS
from worker.engine.transformers.device import resolve_device, resolve_dtype
from worker.engine.vllm.drawing import CONFIG_KEY, DrawingSetup
from worker.engine.vllm.ipc_names import claim_names, new_name
from worker.engine.vllm.versions import is_cpu_build

if TYPE_CHECKING:
    from vllm.v1.engine.llm_engine import LLMEngine

logger = logging.getLogger(__name__)

_VARIABLES = {
    # Its core runs on our engine thread; ranks of a model that is shared out are processes.
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
    # The runner whose logits processors see every token that was drawn before.
    "VLLM_USE_V2_MODEL_RUNNER": "0",
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_CONFIGURE_LOGGING": "0",
    # Threads keep the cores that the operator gave the process.
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "HF_HUB_OFFLINE": "1",
}
_CPU_BLOCK_SIZE = 32
"""Tokens of a block on CPUs, of which vLLM's kernels there want a multiple."""
_DRAWER = "worker.engine.vllm.drawer:TokenDrawer"
_EXTENSION = "worker.engine.vllm.extension.DrawerExtension"
_TOO_LARGE = (
    *("KV cache", "memory for the cache blocks", "Available memory", "Free memory"),
    "not enough GPU memory",  # on CPUs, too
)


def load_vllm(config: EngineConfig, setup: DrawingSetup) -> "LLMEngine":
    """Load the weights into an engine of vLLM that draws by our sampling.

    It takes images if the configuration has a sample of them, and vLLM can prepare them; if it
    cannot, the log has the reason. Raises `UnsupportedModelError` with vLLM's reason, and
    `ModelTooLargeError`.
    """
    for name, value in _variables(config).items():
        os.environ.setdefault(name, value)
    folder = claim_names()
    torch.set_num_threads(config.num_threads or num_cores())
    arguments = _arguments(config, setup)
    if arguments.get("enforce_eager"):
        compile_nothing()
    from vllm import EngineArgs
    from vllm.v1.engine.llm_engine import LLMEngine

    if folder is not None:
        _store_groups_in(folder)
    try:
        # With a tokenizer, vLLM also finds out which parts of a model it need not load.
        arguments["skip_tokenizer_init"] = not _has_parts_beside_text(config)
        if config.image_sample is not None and not arguments["language_model_only"]:
            arguments |= _images(config, arguments)
        return LLMEngine.from_engine_args(EngineArgs(**arguments))
    except Exception as error:
        if is_out_of_memory(error) or any(words in str(error) for words in _TOO_LARGE):
            raise ModelTooLargeError(f"vLLM: {error}") from error
        raise UnsupportedModelError(f"vLLM cannot run it: {error}{_hint(error)}") from error


def _store_groups_in(folder: Path) -> None:
    """Put the files by which vLLM's processes find each other into our folder.

    Its kernels on CPUs name the memory that they share after these.
    """
    from vllm.v1.executor import multiproc_executor, uniproc_executor

    for executor in (multiproc_executor, uniproc_executor):
        executor.get_file_store_init_method = lambda: f"file://{folder / new_name()}"


def _hint(error: Exception) -> str:
    """Return what vLLM's error leaves to its log: that a module of a model cannot be imported."""
    if "failed to be inspected" not in str(error) or find_spec("torchvision") is not None:
        return ""
    return (
        "; its modules of many vision models need torchvision, which is not installed: LLaVA and "
        'LLaVA-NeXT do without it by {"model_impl": "transformers"} in ANTIPHON_VLLM_ARGS'
    )


def end_token_ids(folder: Path) -> list[int]:
    """Return the end-of-sequence tokens by the generation config, or else the model's."""
    ids = None
    if (folder / "generation_config.json").is_file():
        ids = GenerationConfig.from_pretrained(folder, local_files_only=True).eos_token_id
    if ids is None:
        config: Any = AutoConfig.from_pretrained(
            folder, local_files_only=True, trust_remote_code=False
        )
        # Not every configuration of a language part has it.
        ids = getattr(config.get_text_config(), "eos_token_id", None)
    if ids is None:
        return []
    return [ids] if isinstance(ids, int) else sorted(ids)


def _has_parts_beside_text(config: EngineConfig) -> bool:
    """Return True if the model can take more than text, whether or not it shall.

    vLLM then loads a processor, at least to see what it takes, and most processors a tokenizer.
    """
    from vllm.transformers_utils.config import get_config

    if config.image_sample is not None:
        return True
    model_config: Any = get_config(str(config.folder), trust_remote_code=False)
    return model_config.get_text_config() is not model_config


def _images(config: EngineConfig, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments with which vLLM takes images, or does not if it cannot prepare them."""
    from vllm import EngineArgs

    from worker.engine.vllm import image_processing

    assert config.load_image_processor is not None
    loader = image_processing.name_of(config.load_image_processor)
    added = {
        # Images are cached by us, beside those of the API.
        "mm_processor_cache_gb": 0,
        "additional_config": {
            **arguments["additional_config"],
            image_processing.CONFIG_KEY: loader,
        },
    }
    try:
        model_config = EngineArgs(**{**arguments, **added}).create_model_config()
        image_processing.use_our_processor(model_config, loader)
    except (ImportError, OSError, TypeError, ValueError) as error:
        logger.warning("no images: vLLM cannot prepare them", extra={"error": str(error)})
        return {"language_model_only": True}
    return added


def compile_nothing() -> None:
    """Keep torch from compiling what vLLM marks for it even so, as a part of log probabilities.

    Compiling one takes a compiler, and up to a minute, during which all rows wait. It holds for the
    calling thread, and for processes that vLLM starts.
    """
    os.environ["TORCH_COMPILE_DISABLE"] = "1"
    import torch._dynamo.config

    torch._dynamo.config.disable = True


def _variables(config: EngineConfig) -> dict[str, str]:
    variables = _VARIABLES | {"OMP_NUM_THREADS": str(config.num_threads or num_cores())}
    if is_cpu_build():
        # Else it looks for a distribution `vllm` with `cpu` in its version.
        variables["VLLM_TARGET_DEVICE"] = "cpu"
    return variables


def _arguments(config: EngineConfig, setup: DrawingSetup) -> dict[str, Any]:
    """Return the arguments of `EngineArgs`: ours, the operator's, and those that must hold."""
    device = resolve_device(config.device)
    ours: dict[str, Any] = {
        "dtype": str(resolve_dtype(config.dtype, device)).removeprefix("torch."),
        "max_model_len": -1,
        "max_num_seqs": config.max_sequences,
        "language_model_only": config.image_sample is None,
        "enable_prefix_caching": True,
    }
    if device.type == "cpu":
        # Compiling takes a C++ compiler, and minutes at the first start.
        ours |= {"enforce_eager": True, "kv_cache_memory_bytes": config.kv_cache_bytes}
        # As in our own engine there: vLLM's 128 would find no prefix of a short prompt again.
        ours["block_size"] = _CPU_BLOCK_SIZE
    fixed = {
        "model": str(config.folder),
        "trust_remote_code": False,
        "generation_config": "vllm",
        "disable_log_stats": True,
        # A step begins only when the tokens of the one before are known.
        "async_scheduling": False,
        "logprobs_mode": "raw_logprobs",
        "max_logprobs": MAX_TOP_LOGPROBS,
        "logits_processors": [_DRAWER],
        "worker_extension_cls": _EXTENSION,
        "additional_config": {CONFIG_KEY: setup.to_json()},
    }
    return ours | dict(config.vllm_args) | fixed
