"""Reader of arguments that are written as a JSON object."""

from worker.parsing.arguments.reader import Read
from worker.parsing.json_object import JsonObjectScanner


class JsonReader:
    """Passes an object on as it is written."""

    def __init__(self) -> None:
        self._scanner = JsonObjectScanner()

    def read(self, text: str) -> Read:
        """Read up to the closing brace."""
        end = self._scanner.find_end(text)
        length = len(text) if end is None else end
        return Read(length, text[:length], end is not None)
