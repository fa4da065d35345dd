"""Forms in which clients are told of places in the queue: headers, comments and an object."""

from flask import Response

from models.forecast.forecast import QueuePlace
from models.schemas.response import QueuePlaceResource, ServerNotes

POSITION_HEADER = "Antiphon-Queue-Position"
ETA_HEADER = "Antiphon-Queue-Eta"


def add_headers(answer: Response, place: QueuePlace | None) -> None:
    """Add what is known of a place to the headers of an answer."""
    if place is None:
        return
    if place.position is not None:
        answer.headers[POSITION_HEADER] = str(place.position)
    if place.eta_seconds is not None:
        answer.headers[ETA_HEADER] = f"{place.eta_seconds:g}"


def to_notes(place: QueuePlace | None) -> ServerNotes | None:
    """Return the object `antiphon` of a response; None if it has no place."""
    if place is None:
        return None
    queue = QueuePlaceResource(position=place.position, eta_seconds=place.eta_seconds)
    return ServerNotes(queue=queue)


def to_comment(place: QueuePlace) -> bytes:
    """Return the comment of a stream that tells of a place."""
    position = "unknown" if place.position is None else str(place.position)
    eta = "unknown" if place.eta_seconds is None else f"{place.eta_seconds:g}"
    return f": queue position={position} eta={eta}\n\n".encode()
