"""Tokenizers in the fork server, loaded once for all its children."""

import llguidance
import numpy as np
import orjson


class LoadedTokenizer:
    """Tokenizer for masks, with the length of every token."""

    def __init__(self, content: bytes) -> None:
        """Load the content of a `TokenizerFile`, which takes about a second."""
        fields = orjson.loads(content)
        self.tokens = llguidance.LLTokenizer(
            fields["tokenizer"], eos_token=fields["eos_token"], slices=fields["slices"]
        )
        sizes = [len(self.tokens.decode_bytes([n])) for n in range(self.tokens.vocab_size)]
        self.sizes = np.array(sizes, dtype=np.int32)
        self.sizes[self.tokens.eos_tokens] = 0
        """Length of every token in bytes, by token id; 0 for tokens that end the output."""
