"""How one set of weights is told of functions and calls them, read off its chat template.

`profile.json` in the folder of the weights overrides what is found (docs/operations.md).
"""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.profile.call_format import CALL_FORMATS, GENERIC, CallFormat, CallStyle
from models.profile.sampling_defaults import SamplingDefaults
from models.settings import DEFAULT_MODEL, SettingsError

FILE_NAME = "profile.json"

_MARKS: tuple[tuple[str, CallStyle], ...] = (
    ("[TOOL_CALLS]", "mistral"),
    ("<tool_call>", "hermes"),
    ("python_tag", "llama"),
    ("ipython", "llama"),
)
_OTHER_MARKS = ("<function=", "<|tool_call", "[ARGS]", "<|channel|>", "<arg_key>")
"""Of styles that are not read here: such weights are asked in the generic one."""

_KNOWN: dict[str, dict[str, Any]] = {
    DEFAULT_MODEL: {
        "call_margin": 3.5,
        "calls_again": False,
        "max_calls": 1,
        # The model card's, and a penalty without which many of its answers have no end.
        "sampling": SamplingDefaults(temperature=0.2, top_p=0.9, frequency_penalty=0.2),
    }
}
"""Weights that are too small to do as others; see docs/operations.md."""


class Profile(BaseModel):
    """What prompts, grammars and the reader of the output must know of the weights."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    call_style: CallStyle = GENERIC.style
    takes_tools: bool = False
    """Whether the chat template writes tools and calls itself; else they are written for it."""
    call_margin: float = Field(0.0, ge=0, le=100, allow_inf_nan=False)
    """Where an answer begins, a call is made if the logit of its first token, with this added,
    reaches the highest; 0 leaves it to the draw."""

    calls_again: bool = True
    """Whether an answer to the output of a function may begin with another call; weights that are
    too small do little else."""

    max_calls: int | None = Field(None, ge=1)
    """Most calls of one output; weights that are too small repeat theirs without end."""

    sampling: SamplingDefaults = SamplingDefaults()
    """For fields that a request leaves out; counts before `generation_config.json`."""

    @property
    def call_format(self) -> CallFormat:
        """How its calls are spelled."""
        return CALL_FORMATS[self.call_style]


def read_profile(
    folder: Path, model_id: str, template: str, call_margin: float | None = None
) -> Profile:
    """What the template shows, changed by the profile in the folder, and that by a setting.

    Raises `SettingsError` for a profile that cannot be read.
    """
    profile = profile_of(template, model_id)
    given = folder / FILE_NAME
    if given.is_file():
        try:
            changes = Profile.model_validate_json(given.read_bytes())
        except ValidationError as error:
            raise SettingsError(f"{given}: {error}") from None
        sampling = changes.sampling.over(profile.sampling)
        update = {name: getattr(changes, name) for name in changes.model_fields_set}
        profile = profile.model_copy(update=update | {"sampling": sampling})
    if call_margin is not None:
        profile = profile.model_copy(update={"call_margin": call_margin})
    return profile


def profile_of(template: str, model_id: str = "") -> Profile:
    """What a chat template shows of the weights that it belongs to."""
    style = next((style for mark, style in _MARKS if mark in template), None)
    is_other = any(mark in template for mark in _OTHER_MARKS)
    takes_tools = (
        style is not None and not is_other and re.search(r"\btools\b", template) is not None
    )
    return Profile(
        call_style=style if style and takes_tools else GENERIC.style,
        takes_tools=takes_tools,
        **_KNOWN.get(model_id, {}),
    )
