"""The summary of a thought: sentences taken from it, word for word; no model reads it.

Where a thought begins says what it is about, where it ends what came out; in between, the beginning
of each paragraph says what was tried.
"""

import re

_SENTENCE_END = re.compile(r"(?<=[.!?\u3002\uff01\uff1f])\s+|\n+")
_PARAGRAPH_END = re.compile(r"\n\s*\n")
LONG = 1000
"""Characters of a thought from which on `auto` is as good as `detailed`."""
MAX_SENTENCE = 300


def summarise(thought: str, length: str) -> str:
    """`concise`: the first and the last sentence; `detailed`: the first of each paragraph, and the
    last; `auto`: whichever fits its length."""
    if length == "auto":
        length = "detailed" if len(thought) >= LONG else "concise"
    paragraphs = _PARAGRAPH_END.split(thought.strip())
    begun = [_sentences(each)[0] for each in paragraphs]
    last = _sentences(paragraphs[-1])[-1]
    chosen = [*(begun if length == "detailed" else begun[:1]), last]
    return "\n".join(dict.fromkeys(each[:MAX_SENTENCE] for each in chosen))


def _sentences(paragraph: str) -> list[str]:
    return [each for each in _SENTENCE_END.split(paragraph.strip()) if each] or [""]
