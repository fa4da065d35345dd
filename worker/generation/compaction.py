"""Compaction of an input that is too long: a summary is generated, and recorded in its place."""

from dataclasses import dataclass
from typing import Any

from models.chat.compaction import CompactionPlan
from models.chat.prompt import ChatEncoder, EncodedPrompt
from models.chat.render import encode_prompt
from models.encryption.cipher import ContentCipher
from models.encryption.compaction import encrypt_compaction
from models.encryption.items import decrypt_items
from models.recording.recorder import Recorder
from models.recording.unlogged import UnloggedRecorder
from models.schemas.request.parameters import GenerationParameters
from models.streams.event_log import EventLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """Summary of a conversation, with what it is generated from."""

    plan: CompactionPlan
    parameters: GenerationParameters
    prompt: EncodedPrompt
    recorder: UnloggedRecorder


class Compactor:
    """Replaces the older part of conversations by summaries; safe from any thread."""

    def __init__(
        self,
        encoder: ChatEncoder,
        log: EventLog,
        cipher: ContentCipher,
    ) -> None:
        self._encoder = encoder
        self._log = log
        self._cipher = cipher

    def begin(
        self, recorder: Recorder, parameters: GenerationParameters, plan: CompactionPlan
    ) -> Summary:
        """Return the summary that is to be generated."""
        recorder.flush()  # readers see that it has begun
        summarising = UnloggedRecorder(recorder.record, self._log, self._cipher)
        summarising.begin()
        parameters = plan.summary_parameters(parameters)
        prompt = encode_prompt(self._encoder, parameters, plan.summary_items())
        return Summary(
            plan=plan,
            parameters=parameters,
            prompt=prompt,
            recorder=summarising,
        )

    def record(self, recorder: Recorder, summary: Summary) -> None:
        """Record the compaction, once its summary is generated."""
        content = encrypt_compaction(
            self._cipher, recorder.record.project_id, summary.recorder.text, summary.plan.kept
        )
        recorder.add_compaction(content)
        recorder.flush()

    def compacted_items(self, recorder: Recorder) -> list[dict[str, Any]]:
        """Return what the recorded compaction leaves of the input."""
        item = {"type": "compaction", "encrypted_content": recorder.compaction}
        return decrypt_items(self._cipher, recorder.record.project_id, [item])
