"""Validation of finished outputs: none that breaks its constraints is called completed."""

import logging
from collections.abc import Iterable, Iterator

from models.events.item_state import ItemState
from models.grammars.outputs import (
    Constraint,
    call_constraints,
    find_output_fault,
    text_constraint,
)
from models.grammars.validators import UnknownValidityError
from models.recording.recorder import Recorder
from models.responses.ending import EndingCause, failed_cause
from models.responses.status import ResponseStatus
from models.schemas.output import FunctionCall
from models.schemas.request.parameters import GenerationParameters
from models.schemas.request.tools import qualified_name
from models.schemas.tools.custom import CustomToolCall

logger = logging.getLogger(__name__)

_MAX_FAULT = 500


def validated_cause(
    cause: EndingCause, recorder: Recorder, parameters: GenerationParameters
) -> EndingCause:
    """Return the cause of a response's end, or a failure if its output is not what it should be.

    Outputs that are cut off are not validated.
    """
    if cause.status is not ResponseStatus.COMPLETED:
        return cause
    for constraint, text in _constrained(recorder.items, parameters):
        fault = _find_fault(constraint, text, recorder)
        if fault:
            logger.error(
                "output breaks its constraint",
                extra={"response_id": recorder.record.id.hex, "language": constraint[0]},
            )
            message = (
                "The output does not satisfy the constraint that it was generated under, which is "
                f"a defect of this server: {fault}"
            )
            return failed_cause(message[:_MAX_FAULT], cause.usage)
    return cause


def _constrained(
    items: Iterable[ItemState], parameters: GenerationParameters
) -> Iterator[tuple[Constraint, str]]:
    """Yield the texts of the output that are constrained, with their constraints."""
    for_text, for_calls = text_constraint(parameters), call_constraints(parameters)
    for item in items:
        if isinstance(item.item, FunctionCall | CustomToolCall):
            name = qualified_name(item.item.namespace, item.item.name)
            if name in for_calls:
                yield for_calls[name], item.text
        elif item.item.type == "message" and for_text is not None:
            yield for_text, item.text


def _find_fault(constraint: Constraint, text: str, recorder: Recorder) -> str:
    try:
        fault = find_output_fault(constraint, text)
        # After reasoning, white space may come before the answer.
        return find_output_fault(constraint, text.lstrip()) if fault else ""
    except UnknownValidityError as error:
        logger.info(
            "output not validated",
            extra={"response_id": recorder.record.id.hex, "reason": str(error)[:_MAX_FAULT]},
        )
        return ""
