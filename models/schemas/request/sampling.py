"""Sampling fields of a request: their types and ranges."""

from typing import Annotated

from pydantic import Field, StringConstraints

from models.schemas.strict import WireModel, at_most

DRY_BASE = 1.75
DRY_ALLOWED_LENGTH = 2
MAX_BIASES = 10_000
DRY_BREAKERS = ("\n", ":", '"', "*")

TokenId = Annotated[str, StringConstraints(pattern=r"^(0|[1-9][0-9]{0,9})$")]
Bias = Annotated[float, Field(ge=-100, le=100, allow_inf_nan=False)]
DryBreaker = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class SamplingFields(WireModel):
    """Sampling beyond `temperature` and `top_p`; a field that is null or left out is off."""

    top_k: int | None = Field(None, ge=0)
    min_p: float | None = Field(None, ge=0, le=1, allow_inf_nan=False)
    frequency_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    presence_penalty: float | None = Field(None, ge=-2, le=2, allow_inf_nan=False)
    repetition_penalty: float | None = Field(None, gt=0, allow_inf_nan=False)
    dry_multiplier: float | None = Field(None, ge=0, allow_inf_nan=False)
    dry_base: float | None = Field(None, ge=0, allow_inf_nan=False)
    dry_allowed_length: int | None = Field(None, ge=0, le=2**31 - 1)
    dry_sequence_breakers: list[DryBreaker] | None = Field(None, max_length=64)
    logit_bias: Annotated[dict[TokenId, Bias], at_most(MAX_BIASES)] | None = None
    ignore_eos: bool | None = None
