"""Check of the tokenizer in a GGUF file's metadata: all of it is there, and its rules are known."""

from collections.abc import Mapping
from typing import Any

from worker.engine.interface import BadCheckpointError
from worker.weights.gguf.file import GgufFile

KINDS = frozenset({"gpt2", "llama", "t5", "gemma4"})
"""Kinds of vocabularies that transformers builds a tokenizer from."""
BUILT_IN_RULES = frozenset(
    {"llama3", "llama-v3", "llama-bpe", "falcon3", "falcon-h1", "pixtral", "midm-2.0", "lfm2"}
    | {"jina-v5-nano", "dbrx", "smaug-bpe", "tekken", "qwen2", "deepseek-r1-qwen", "kormo"}
    | {"f2llmv2", "megrez", "qwen35", "gpt-4o", "llama4", "kanana2", "talkie", "minimax-m2"}
)
"""Rules by which text is split before merges that transformers has; a test compares them."""
RULES_OF_GPT2 = frozenset(
    {"default", "gpt-2", "phi-2", "olmo", "mpt", "jais", "trillion", "exaone4", "granite-docling"}
    | {"gigachat", "a.x-4.0", "mellum"}
)
"""Rules of GPT-2. Files from before there were names have none, or `default`."""
RULES_WITH_DIGITS_FIRST = frozenset(
    {"starcoder", "refact", "command-r", "smollm", "codeshell", "exaone", "minerva-7b"}
)
"""Rules of GPT-2 that split digits from each other before."""
OWN_RULES = frozenset(
    {"deepseek-v3", "hunyuan-dense", "deepseek-llm", "deepseek-coder", "glm4", "chatglm-bpe"}
    | {"stablelm2", "hunyuan", "seed-coder", "kimi-k2"}
)
"""Rules that the conversion has where transformers has none."""
_RULES = BUILT_IN_RULES | RULES_OF_GPT2 | RULES_WITH_DIGITS_FIRST | OWN_RULES
_IDS = ("bos", "eos", "eot", "eom", "unknown", "padding")


def check_vocabulary(file: GgufFile) -> None:
    """Raise `BadCheckpointError` for a tokenizer that is not whole, or not converted."""
    prefix = "tokenizer.ggml."
    entries = {
        name.removeprefix(prefix): value
        for name, value in file.metadata.items()
        if name.startswith(prefix)
    }
    kind = entries.get("model")
    if kind is None:
        raise BadCheckpointError(f"it has no tokenizer: its metadata has no {prefix}model")
    if kind not in KINDS:
        raise BadCheckpointError(
            f"its tokenizer is of the kind {kind!r:.40}, which is not converted (converted are "
            f"{', '.join(sorted(KINDS))}): take the model as safetensors"
        )
    _check_tokens(entries, len(_texts(entries, "tokens")), file)
    if kind == "t5" or ("scores" in entries and "merges" not in entries):
        _check_number(entries, "scores", float)
    else:
        _check_merges(_texts(entries, "merges"))
    rule = entries.get("pre") or "default"
    if kind == "gpt2" and rule not in _RULES:
        raise BadCheckpointError(
            f"its tokenizer splits text by the rule {rule!r:.40}, which is not known: take the "
            "model as safetensors"
        )
    template = file.metadata.get("tokenizer.chat_template", "")
    if not isinstance(template, str):
        raise BadCheckpointError("its metadata has a tokenizer.chat_template that is no text")


def _check_tokens(entries: Mapping[str, Any], num_tokens: int, file: GgufFile) -> None:
    rows = file.tensors["token_embd.weight"].shape[0]
    if num_tokens > rows:
        raise BadCheckpointError(
            f"its tokenizer has {num_tokens} tokens, and token_embd.weight rows for {rows}"
        )
    if "token_type" in entries:
        _check_number(entries, "token_type", int)
    for name in _IDS:
        token = entries.get(f"{name}_token_id")
        if token is not None and (type(token) is not int or not 0 <= token < num_tokens):
            raise BadCheckpointError(
                f"its tokenizer has the {name} token {token!r:.40}, of {num_tokens} tokens"
            )


def _check_number(entries: Mapping[str, Any], name: str, kind: type) -> None:
    """Raise `BadCheckpointError` unless there is one number for each token."""
    num_tokens, values = len(entries["tokens"]), entries.get(name)
    if not isinstance(values, list) or not all(type(value) is kind for value in values):
        raise BadCheckpointError(f"its tokenizer has no list of numbers tokenizer.ggml.{name}")
    if len(values) != num_tokens:
        raise BadCheckpointError(
            f"its tokenizer has {len(values)} tokenizer.ggml.{name} for {num_tokens} tokens"
        )


def _check_merges(merges: list[str]) -> None:
    for merge in merges:
        if merge.count(" ") != 1:
            raise BadCheckpointError(f"its tokenizer has the merge {merge!r:.40}, not of two parts")


def _texts(entries: Mapping[str, Any], name: str) -> list[str]:
    values = entries.get(name)
    if not isinstance(values, list) or not values or not isinstance(values[0], str):
        raise BadCheckpointError(f"its tokenizer has no list of texts tokenizer.ggml.{name}")
    return values
