"""Fields of chat completions that are known and not acted on (`models/schemas/unserved.py`)."""

from models.schemas.unserved import ANY, Unserved

REQUEST: Unserved = {
    "audio": (),
    "function_call": ("none", "auto"),
    "functions": ([],),
    "modalities": (["text"],),
    "moderation": (),
    "prediction": (),
}
"""`functions` and `function_call` are the older form of `tools` and `tool_choice`."""

ASSISTANT_MESSAGE: Unserved = {
    "annotations": ANY,
    "audio": (),
    "function_call": (),
    "parsed": ANY,
}
TOOL_MESSAGE: Unserved = {"name": ANY}
"""The name of the function is that of its call."""

CALL: Unserved = {"index": ANY}
CALLED_FUNCTION: Unserved = {"parsed_arguments": ANY}
