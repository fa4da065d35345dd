"""Measures and goals computed from the runs of `bench.engine`."""

from collections.abc import Iterable, Mapping, Sequence

from bench.engines.batches import Run
from bench.engines.bound import Bound
from bench.report import Goal, Measure

MANY = 32
FREE = f"{MANY} greedy"
SAMPLED = f"{MANY} sampled at 0.8 / 0.95"
# On a GPU, in percent of the memory bound, by batch size.
_OF_BOUND = {1: Goal(at_least=70), MANY: Goal(at_least=50), 256: Goal(at_least=50)}

Rounds = Sequence[Mapping[str, Run]]


def speed_measures(found: Rounds, grammars: Iterable[str], *, is_gpu: bool) -> list[Measure]:
    """Return tokens/s of every kind of batch, and the cost of sampling and of grammars."""
    measures = [
        Measure(name=f"{name}: tokens/s", rounds=[runs[name].tokens_per_s for runs in found])
        for name in found[0]
    ]
    for name, least in ({SAMPLED: 0.9} | dict.fromkeys(grammars, 0.95)).items():
        if name in found[0]:
            ratios = [runs[name].tokens_per_s / runs[FREE].tokens_per_s for runs in found]
            goal = Goal(at_least=least)
            measures.append(Measure(name=f"{name} over {FREE}", rounds=ratios, goal=goal))
    if not is_gpu:  # a GPU computes asynchronously: the host waits after `forward` has returned
        shares = [runs[FREE].outside_share * 100 for runs in found]
        name, goal = f"{FREE}: outside the forward, %", Goal(at_most=5)
        measures.append(Measure(name=name, rounds=shares, goal=goal))
    return measures


def bound_measures(name: str, found: Rounds, bound: Bound, *, is_gpu: bool) -> list[Measure]:
    """Return the speed as a share of the memory bound, over steps in which all sequences decode."""
    steps = [runs[name].full_steps for runs in found]
    allowed = [step.num_tokens / bound.seconds(step) for step in steps]
    reached = [step.num_tokens / step.seconds for step in steps]
    shares = [ours / most * 100 for ours, most in zip(reached, allowed, strict=True)]
    speed = f"{bound.bytes_per_s / 1e9:.1f} GB/s"
    goal = _OF_BOUND[int(name.split()[0])] if is_gpu else None
    return [
        Measure(name=f"{name}, decoding: tokens/s", rounds=reached),
        Measure(name=f"{name}, decoding: tokens/s allowed by {speed}", rounds=allowed),
        Measure(name=f"{name}, decoding: % of the allowed", rounds=shares, goal=goal),
    ]


def peer_measures(
    name: str, found: Rounds, theirs: Sequence[float], attention: str
) -> list[Measure]:
    """Return the speed over that of transformers' continuous batching, prefill included."""
    ours = [runs[name].tokens_per_s for runs in found]
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return [
        Measure(name=f"{name}: tokens/s of transformers, {attention}", rounds=theirs),
        Measure(name=f"{name} over transformers", rounds=ratios, goal=Goal(at_least=1)),
    ]
