"""What the runs of `bench.engine` say, as measures with their goals."""

from collections.abc import Iterable, Mapping, Sequence

from bench.engines.batches import Run
from bench.engines.bound import Bound
from bench.report import Goal, Measure

MANY = 32
FREE = f"{MANY} greedy"
SAMPLED = f"{MANY} sampled at 0.8 / 0.95"
# On a GPU, in percent of the bound, by the number of sequences.
_OF_BOUND = {1: Goal(at_least=70), MANY: Goal(at_least=50), 256: Goal(at_least=50)}

Rounds = Sequence[Mapping[str, Run]]


def speeds(found: Rounds, grammars: Iterable[str], *, is_gpu: bool) -> list[Measure]:
    """Tokens a second of every kind of batch, and what sampling and grammars cost."""
    measures = [
        Measure(name=f"{name}: tokens/s", rounds=[each[name].tokens_per_s for each in found])
        for name in found[0]
    ]
    for name, least in ({SAMPLED: 0.9} | dict.fromkeys(grammars, 0.95)).items():
        if name in found[0]:
            ratios = [each[name].tokens_per_s / each[FREE].tokens_per_s for each in found]
            goal = Goal(at_least=least)
            measures.append(Measure(name=f"{name} over {FREE}", rounds=ratios, goal=goal))
    if not is_gpu:  # there the host waits for the forward pass when that has returned
        shares = [each[FREE].outside_share * 100 for each in found]
        name, goal = f"{FREE}: outside the forward, %", Goal(at_most=5)
        measures.append(Measure(name=name, rounds=shares, goal=goal))
    return measures


def beside_the_bound(name: str, found: Rounds, bound: Bound, *, is_gpu: bool) -> list[Measure]:
    """How near to what memory allows a kind comes, in the steps in which all sequences decode."""
    steps = [each[name].full_steps for each in found]
    allowed = [each.num_tokens / bound.seconds(each) for each in steps]
    reached = [each.num_tokens / each.seconds for each in steps]
    shares = [ours / most * 100 for ours, most in zip(reached, allowed, strict=True)]
    speed = f"{bound.bytes_per_s / 1e9:.1f} GB/s"
    goal = _OF_BOUND[int(name.split()[0])] if is_gpu else None
    return [
        Measure(name=f"{name}, decoding: tokens/s", rounds=reached),
        Measure(name=f"{name}, decoding: tokens/s allowed by {speed}", rounds=allowed),
        Measure(name=f"{name}, decoding: % of the allowed", rounds=shares, goal=goal),
    ]


def beside_the_peer(
    name: str, found: Rounds, theirs: Sequence[float], attention: str
) -> list[Measure]:
    """How much faster a kind is than in transformers' continuous batching, prompts included."""
    ours = [each[name].tokens_per_s for each in found]
    ratios = [our / their for our, their in zip(ours, theirs, strict=True)]
    return [
        Measure(name=f"{name}: tokens/s of transformers, {attention}", rounds=theirs),
        Measure(name=f"{name} over transformers", rounds=ratios, goal=Goal(at_least=1)),
    ]
