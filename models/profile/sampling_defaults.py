"""How tokens are drawn where a request does not say, for one set of weights."""

from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from models.settings import SettingsError

OF_GENERATION_CONFIG = ("temperature", "top_p", "top_k", "min_p", "repetition_penalty")
"""What `generation_config.json` has of them, under the same names."""

_Fields = TypeVar("_Fields", bound=BaseModel)


class SamplingDefaults(BaseModel):
    """Values for fields of a request that it leaves out; None changes nothing."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    temperature: float | None = Field(None, ge=0, le=2, allow_inf_nan=False)
    top_p: float | None = Field(None, gt=0, le=1, allow_inf_nan=False)
    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    repetition_penalty: float | None = Field(None, gt=0, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)

    def over(self, others: "SamplingDefaults") -> "SamplingDefaults":
        """These, and the others where these have none."""
        return others.model_copy(update=self.model_dump(exclude_none=True))

    def fill(self, given: _Fields) -> _Fields:
        """The parameters in force: what is given counts, a 0 too."""
        neutral = {"temperature": 1.0, "top_p": 1.0}
        update = neutral | self.model_dump(exclude_none=True)
        return given.model_copy(
            update={name: value for name, value in update.items() if getattr(given, name) is None}
        )


def of_generation_config(config: dict[str, Any]) -> SamplingDefaults:
    """Those of `generation_config.json`; raises `SettingsError` for a value out of range."""
    known = {name: config.get(name) for name in OF_GENERATION_CONFIG}
    if (known["top_k"] or 0) < 0:  # another spelling of "off"
        del known["top_k"]
    try:
        return SamplingDefaults.model_validate(known)
    except ValidationError as error:
        raise SettingsError(f"generation_config.json: {error}") from None
