"""Recorder of what a model writes for the server itself: no client sees its events."""

from models.recording.recorder import Recorder
from models.streams.event_log import Append


class UnloggedRecorder(Recorder):
    """Recorder whose events are never logged: an attempt that is lost generates them again."""

    is_logged = False

    def pending(self) -> Append | None:
        """Return None: there is nothing to log."""
        return None

    @property
    def text(self) -> str:
        """Text of the messages so far."""
        return "".join(state.text for state in self.items if state.item.type == "message")
