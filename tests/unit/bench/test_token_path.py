"""The way of a token from the engine to Redis stays short."""

from bench.token_path import trace_token


def test_a_token_passes_few_calls_classes_and_files() -> None:
    calls = trace_token()

    names = [call.name for call in calls]
    assert names[0] == "Emitter.emit"
    assert {"Generation.advance", "TextPipeline.add", "EventLog.append"} <= set(names)
    assert len(calls) <= 45, names
    assert len({call.owner for call in calls if call.owner}) <= 8
    assert len({call.file for call in calls}) <= 8
