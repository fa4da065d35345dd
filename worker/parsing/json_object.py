"""Detection of the end of a JSON object in streamed text."""


class JsonObjectScanner:
    """Finds the closing brace of an object: counts braces outside strings, validates nothing."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def find_end(self, text: str) -> int | None:
        """Return how many characters of further text belong to the object.

        Return None if all of them do and the object goes on.
        """
        for position, char in enumerate(text):
            if self._is_in_string:
                self._read_string(char)
            elif char == '"':
                self._is_in_string = True
            elif char in "{}":
                self._depth += 1 if char == "{" else -1
                if self._depth == 0:
                    return position + 1
        return None

    def _read_string(self, char: str) -> None:
        if self._is_escaped:
            self._is_escaped = False
        elif char == "\\":
            self._is_escaped = True
        elif char == '"':
            self._is_in_string = False
