"""What the drawer of an engine needs, in whichever process vLLM computes the logits.

vLLM's own configuration carries it there, so that it is plain data, JSON.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from llguidance import LLTokenizer

from worker.engine.sampling.grammar import GrammarCompiler

CONFIG_KEY = "antiphon"
"""Name of the setup in vLLM's `additional_config`."""
REQUEST_KEY = "antiphon"
"""Name of the `GenerationRequest` in vLLM's `SamplingParams.extra_args`."""

_compilers: dict[str, GrammarCompiler] = {}
"""Compilers of this process, by the key of their engine."""
_failures: dict[str, dict[str, str]] = {}
"""Errors of sequences that no token could be drawn for, by the key of the engine and sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawingSetup:
    """Grammars of one engine, and the token that tells of a failure."""

    key: str
    """Key of the engine, unique in this process."""
    folder: str
    """Folder of the model's tokenizer."""
    eos_token_ids: list[int]
    grammar_limits: dict[str, Any]
    make_grammar_tokenizer: str
    """`module:name` of the function that makes llguidance's tokenizer; empty without grammars."""

    @property
    def failure_token(self) -> int:
        """Token in place of one that could not be drawn; its reason is in `take_failures`."""
        return min(self.eos_token_ids, default=0)

    def to_json(self) -> dict[str, Any]:
        """Return it as plain data."""
        return asdict(self)

    def load_tokenizer(self, vocab_size: int) -> LLTokenizer:
        """Load llguidance's tokenizer for a network with logits of `vocab_size`."""
        from transformers import AutoTokenizer

        module, _, name = self.make_grammar_tokenizer.partition(":")
        make: Callable[..., LLTokenizer] = getattr(import_module(module), name)
        tokenizer: Any = AutoTokenizer.from_pretrained(Path(self.folder), local_files_only=True)
        # Some tokenizers have more tokens than the network, such as one for padding.
        num_tokens = max(vocab_size, len(tokenizer))
        return make(tokenizer, num_tokens=num_tokens, eos_token_ids=self.eos_token_ids)


def setup_of(additional_config: Mapping[str, Any]) -> DrawingSetup:
    """Return the setup that vLLM's configuration carries."""
    return DrawingSetup(**additional_config[CONFIG_KEY])


def share_compiler(key: str, compiler: GrammarCompiler) -> None:
    """Let drawers of this process take what an engine has compiled."""
    _compilers[key] = compiler


def compiler_of(setup: DrawingSetup, vocab_size: int) -> GrammarCompiler:
    """Return the engine's compiler; in another process, one that compiles the same again."""
    if setup.key not in _compilers:
        _compilers[setup.key] = GrammarCompiler(
            lambda: setup.load_tokenizer(vocab_size), setup.grammar_limits
        )
    return _compilers[setup.key]


def note_failure(key: str, sequence_id: str, error: str) -> None:
    """Keep why no token of a sequence could be drawn."""
    _failures.setdefault(key, {})[sequence_id] = error


def take_failures(key: str) -> dict[str, str]:
    """Return the errors of this process's sequences since the last call."""
    return _failures.pop(key, {})


def forget(key: str) -> None:
    """Drop what this process keeps of an engine."""
    _compilers.pop(key, None)
    _failures.pop(key, None)
