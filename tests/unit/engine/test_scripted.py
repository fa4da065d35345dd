import subprocess
import sys

from models.chat import SCRIPTED_VOCAB
from tests.unit.engine.harness import Harness, greedy
from worker.engine import FinishReason, ScriptedEngine, ScriptedTokenizer


def run_script(num_tokens: int, max_tokens: int = 100) -> Harness:
    harness = Harness()
    harness.engine = ScriptedEngine(
        num_tokens=num_tokens, interval_s=0, max_sequences=4, on_step=harness.on_step
    )
    harness.engine.start()
    harness.run(greedy("it", [1], max_tokens))
    harness.engine.stop()
    return harness


def test_the_script_reads_as_text() -> None:
    harness = run_script(num_tokens=10)

    text = ScriptedTokenizer().decode(harness.tokens("it"))
    assert text == "This answer is scripted: no model has read the"


def test_the_script_stops_after_its_tokens_and_starts_over_when_it_is_short() -> None:
    harness = run_script(num_tokens=45)

    text = ScriptedTokenizer().decode(harness.tokens("it"))
    assert text.count("This answer is scripted") == 3
    assert harness.reason("it") is FinishReason.STOP


def test_a_script_longer_than_allowed_ends_by_length() -> None:
    assert run_script(num_tokens=10, max_tokens=9).reason("it") is FinishReason.LENGTH


def test_bytes_are_their_own_ids() -> None:
    tokenizer = ScriptedTokenizer()

    assert tokenizer.decode(tokenizer.encode("naïve 😀")) == "naïve 😀"


def test_the_script_has_the_vocabulary_that_requests_are_checked_against() -> None:
    harness = run_script(num_tokens=45)

    assert max(harness.tokens("it")) == SCRIPTED_VOCAB - 1


def test_the_scripted_engine_loads_no_tensor_library() -> None:
    code = "import worker.engine, sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"

    output = subprocess.check_output([sys.executable, "-c", code], text=True)

    assert output.strip() == "[]"
