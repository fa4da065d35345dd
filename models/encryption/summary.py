"""Extractive summaries of reasoning: sentences copied from the text, without calling a model.

The first sentence usually states the subject, the last one the conclusion, and the first sentence
of each paragraph in between the next thing that was tried.
"""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
MIN_DETAILED_LENGTH = 1000
"""Characters of reasoning from which on `auto` means `detailed`."""
MAX_SENTENCE_LENGTH = 300
"""Characters at which a sentence of the summary is cut."""


def summarise(reasoning: str, length: str) -> str:
    """Return selected sentences of the reasoning, one a line.

    `concise`: the first and the last sentence; `detailed`: the first of each paragraph, and the
    last; `auto`: `detailed` from `MIN_DETAILED_LENGTH` characters on, else `concise`.
    """
    if length == "auto":
        length = "detailed" if len(reasoning) >= MIN_DETAILED_LENGTH else "concise"
    paragraphs = _PARAGRAPH_END.split(reasoning.strip())
    first_sentences = [_split_sentences(paragraph)[0] for paragraph in paragraphs]
    last = _split_sentences(paragraphs[-1])[-1]
    chosen = [*(first_sentences if length == "detailed" else first_sentences[:1]), last]
    return "\n".join(dict.fromkeys(sentence[:MAX_SENTENCE_LENGTH] for sentence in chosen))


def _split_sentences(paragraph: str) -> list[str]:
    return [sentence for sentence in _SENTENCE_END.split(paragraph.strip()) if sentence] or [""]
