"""Profile of one set of weights: tool support and sampling defaults, from its chat template.

`profile.json` in the folder of the weights overrides the detected values (docs/operations.md).
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from models.profile.formats.call_format import CallFormat
from models.profile.formats.table import (
    CALL_FORMATS,
    GENERIC,
    describes_tools,
    find_format,
    generic_beside,
)
from models.profile.sampling_defaults import SamplingDefaults
from models.settings import DEFAULT_MODEL, SettingsError

FILE_NAME = "profile.json"

_KNOWN: dict[str, dict[str, Any]] = {
    DEFAULT_MODEL: {
        "call_margin": 3.5,
        "calls_again": False,
        "max_calls": 1,
        "max_functions": 6,
        "describes_parameters": False,
        # From the model card; without the penalty, many of its answers would not end.
        "sampling": SamplingDefaults(temperature=0.2, top_p=0.9, frequency_penalty=0.5),
    }
}
"""Values for weights that are too small to call tools reliably; see docs/operations.md."""


class Profile(BaseModel):
    """Properties of the weights that prompts, grammars and the output parser depend on."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    call_style: str = GENERIC.style
    """Name of the format of tool calls."""
    own_style: str | None = None
    """Format in which calls are read, too, though the template does not describe tools."""
    takes_tools: bool = False
    """True if the chat template writes tools and calls; otherwise they are written as text."""
    call_margin: float = Field(0.0, ge=0, le=100, allow_inf_nan=False)
    """Bonus, in logits, for a tool call at the beginning of an answer.

    A call is made if the logit of its first token plus this value reaches the highest logit; 0
    leaves the decision to sampling.
    """

    calls_again: bool = True
    """True if the answer to a function's output may begin with another call.

    Weights that are too small would only repeat calls.
    """

    max_calls: int | None = Field(None, ge=1)
    """Maximum number of calls per output; weights that are too small repeat them without end."""

    max_functions: int | None = Field(None, ge=1)
    """Most functions among which the weights can choose by themselves.

    With more, an answer does not begin with a call unless one is required.
    """

    describes_parameters: bool = True
    """True if the model is shown the descriptions of single parameters.

    They take a quarter of what coding agents describe, which fills small contexts.
    """

    sampling: SamplingDefaults = SamplingDefaults()
    """Values for fields that a request leaves out; they override `generation_config.json`."""

    @field_validator("call_style", "own_style")
    @classmethod
    def _check_style(cls, style: str | None) -> str | None:
        if style is not None and style not in CALL_FORMATS:
            raise ValueError(f"call_style is none of {', '.join(CALL_FORMATS)}")
        return style

    @property
    def call_format(self) -> CallFormat:
        """Text format of the tool calls."""
        if self.call_style != GENERIC.style or self.takes_tools:
            return CALL_FORMATS[self.call_style]
        return GENERIC if self.own_style is None else generic_beside(self.own_style)


def read_profile(
    folder: Path,
    model_id: str,
    template: str,
    call_margin: float | None = None,
    *,
    vocabulary: Collection[str] = (),
) -> Profile:
    """Return the profile detected from the template, updated by `profile.json` in the folder.

    `vocabulary` has the texts of the tokenizer's added tokens. `call_margin`, in logits, overrides
    both if it is not None. Raises `SettingsError` for an invalid `profile.json`.
    """
    profile = profile_of(template, model_id, vocabulary)
    path = folder / FILE_NAME
    if path.is_file():
        try:
            changes = Profile.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise SettingsError(f"{path}: {error}") from None
        sampling = changes.sampling.over(profile.sampling)
        update = {name: getattr(changes, name) for name in changes.model_fields_set}
        profile = profile.model_copy(update=update | {"sampling": sampling})
    if call_margin is not None:
        profile = profile.model_copy(update={"call_margin": call_margin})
    return profile


def profile_of(template: str, model_id: str = "", vocabulary: Collection[str] = ()) -> Profile:
    """Detect the profile of the weights from their chat template.

    A template need not show the format of calls for which the tokenizer has tokens.
    """
    found = find_format(template)
    own_style = None if found is None else found.style
    takes_tools = own_style is not None and describes_tools(template)
    if found is None and (found := find_format("\n".join(vocabulary))) is not None:
        own_style = found.style
    return Profile(
        call_style=own_style if own_style and takes_tools else GENERIC.style,
        own_style=None if takes_tools else own_style,
        takes_tools=takes_tools,
        **_KNOWN.get(model_id, {}),
    )
