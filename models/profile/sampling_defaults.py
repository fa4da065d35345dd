"""Default sampling parameters of one set of weights."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.settings import SettingsError

OF_GENERATION_CONFIG = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""Fields that are read from `generation_config.json`, under the same names."""

_Fields = TypeVar("_Fields", bound=BaseModel)


class SamplingDefaults(BaseModel):
    """Values for fields that a request leaves out; None leaves a field as it is."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    repetition_penalty: float | None = Field(None, gt=0, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)

    def over(self, others: "SamplingDefaults") -> "SamplingDefaults":
        """Return these defaults, completed by `others` where these are None."""
        return others.model_copy(update=self.model_dump(exclude_none=True))

    def fill(self, given: _Fields) -> _Fields:
        """Return `given` with its None fields set to the defaults; a given 0 is kept."""
        neutral = {"temperature": 1.0, "top_p": 1.0}
        update = neutral | self.model_dump(exclude_none=True)
        return given.model_copy(
            update={name: value for name, value in update.items() if getattr(given, name) is None}
        )


def of_generation_config(config: dict[str, Any]) -> SamplingDefaults:
    """Return the defaults in the content of `generation_config.json`.

    Raises `SettingsError` for a value out of range.
    """
    known = {name: config.get(name) for name in OF_GENERATION_CONFIG}
    if (known["top_k"] or 0) < 0:  # negative also means "off"
        del known["top_k"]
    try:
        return SamplingDefaults.model_validate(known)
    except ValidationError as error:
        raise SettingsError(f"generation_config.json: {error}") from None
