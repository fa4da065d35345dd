"""Parts of a schema that cannot be enforced: refused, or left out and noted."""

MAX_CLASSES = 2000
"""Maximum number of character classes in all patterns of a schema."""


class UnenforceableError(Exception):
    """A schema cannot be enforced; the message says which part of it, and why."""


MAX_MERGED_BYTES = 1 << 20
"""Maximum size of all schemas that are made by merging parts of one schema."""


class Findings:
    """Findings of the passes over one schema.

    If it is lenient, keywords that cannot be enforced are left out, and `dropped` lists them;
    otherwise the first one raises `UnenforceableError`.
    """

    def __init__(self, *, is_lenient: bool = False) -> None:
        self.is_lenient = is_lenient
        self.dropped: list[str] = []
        self._num_merged_bytes = 0
        self._num_classes = 0

    def add(self, path: str, reason: str) -> None:
        """Note that the keyword at `path` is left out, or raise."""
        if not self.is_lenient:
            raise UnenforceableError(f"{path}: {reason}")
        self.dropped.append(path)

    def count_merged(self, num_bytes: int) -> None:
        """Count a schema that is made by merging; raise if all together are too big."""
        self._num_merged_bytes += num_bytes
        if self._num_merged_bytes > MAX_MERGED_BYTES:
            raise UnenforceableError("the combinations of its parts are too big")

    def count_classes(self, pattern: str) -> None:
        """Count the character classes of a pattern; raise if all patterns have too many."""
        self._num_classes += pattern.count("[") + pattern.count("\\")
        if self._num_classes > MAX_CLASSES:
            raise UnenforceableError(f"its patterns have more than {MAX_CLASSES} classes")
