"""Where a JSON object ends in text that comes in pieces."""


class ObjectEnd:
    """Counts the braces that are in no string; whether it is JSON is not its matter."""

    def __init__(self) -> None:
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def find(self, text: str) -> int | None:
        """How much of more text belongs to the object; None if all does and it goes on."""
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
