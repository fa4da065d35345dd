"""Bodies of the requests that the benchmarks send."""

import random

import orjson

PATH = "/v1/responses"
_PROMPT = "Write a long story about a lighthouse, its keeper and the sea. " * 8
_NUM_WORDS = 90
_WORDS = (
    "time year people way day man thing woman life child world school state family student group "
    "country problem hand part place case week company system program question work government "
    "number night point home water room mother area money story fact month lot right study book "
    "eye job word business issue side kind head house service friend father power hour game line "
    "end member law car city community name president team minute idea kid body information back"
)


def background_body(*, stream: bool = False) -> bytes:
    """Return a background request; the scripted engine ignores its prompt."""
    return orjson.dumps({"input": _PROMPT, "background": True, "stream": stream})


def story_prompt(seed: int) -> str:
    """Return about 100 tokens of text; those of two seeds differ after a short common beginning."""
    words = " ".join(random.Random(seed).choices(_WORDS.split(), k=_NUM_WORDS))
    return f"Write a long story using: {words}"


def greedy_body(seed: int, num_tokens: int) -> bytes:
    """Return a streaming request of about 126 tokens.

    The prompts of two seeds have no prefix in common that a cache could share.
    """
    return orjson.dumps(
        {
            "input": story_prompt(seed),
            "max_output_tokens": num_tokens,
            "temperature": 0,
            "frequency_penalty": 0,
            "stream": True,
        }
    )
