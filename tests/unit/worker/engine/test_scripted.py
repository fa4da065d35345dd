import subprocess
import sys

from models.chat.scripted_encoder import SCRIPTED_VOCAB
from tests.unit.worker.engine.harness import Harness, greedy
from worker.engine.interface import LOGPROB_FLOOR, FinishReason, GenerationRequest
from worker.engine.params import SamplingParams
from worker.engine.scripted import ScriptedEngine, ScriptedTokenizer


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


def test_the_script_is_certain_of_its_words() -> None:
    harness = Harness()
    harness.engine = ScriptedEngine(
        num_tokens=20, interval_s=0, max_sequences=4, on_step=harness.on_step
    )
    harness.engine.start()
    params = SamplingParams(max_tokens=2, num_top_logprobs=20)
    request = GenerationRequest(sequence_id="it", prompt=[1], params=params)
    harness.run(request)
    harness.engine.stop()

    [_, second] = [delta.logprobs for delta in harness.deltas["it"]]
    assert second is not None
    assert second.drawn == 0
    assert [value for _, value in second.top] == [0, *[LOGPROB_FLOOR] * 19]
    assert len(dict(second.top)) == 20
    assert second.top[0][0] == harness.tokens("it")[1]


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
