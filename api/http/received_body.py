"""Body of a request as the server has received it."""

import io


class ReceivedBody(io.BytesIO):
    """Bytes of a body, of which at most one copy exists."""

    def take(self) -> bytes:
        """Return all bytes, without copying them, and hold them no longer."""
        data = self.getvalue()
        self.seek(0)
        self.truncate()
        return data
