"""Runs with different seeds, and what they show together."""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from bench.families.result import Outcome, Result, Results

_SEVERITY = (Outcome.EXACT, Outcome.REFUSED, Outcome.DIFFERS, Outcome.FAILED)


def combine(runs: Sequence[Results]) -> dict[str, Result]:
    """Return a result for each family of the first run: the worst of all runs.

    Ties are added up, and remarks joined. Raises `KeyError` for a family that a run lacks.
    """
    return {name: _combine([results[name] for results in runs]) for name in runs[0]}


def run_title(results: Results) -> str:
    """Return time, commit and seed of a run; several if it was continued under others.

    The time is that of its first start, if it was continued on the same commit with the same seed.
    """
    began_at: dict[str, str] = {}
    for result in results.values():
        time, _, commit = result.run.partition(", ")
        title = f"{commit}, seed {result.seed}"
        began_at[title] = min(time, began_at.get(title, time))
    return "; ".join(f"{time}, {title}" for title, time in began_at.items())


def _combine(results: Sequence[Result]) -> Result:
    worst = max(results, key=lambda result: _SEVERITY.index(result.outcome))
    return replace(
        worst,
        computed_in=" or ".join(_distinct(it.computed_in for it in results)),
        torch=_first_other("exact", [it.torch for it in results]),
        is_early=not any(it.is_late for it in results),
        short_types={
            name: _first_other("runs", [it.short_types.get(name, "runs") for it in results])
            for name in worst.short_types
        },
        num_ties=sum(it.num_ties for it in results),
        remarks=_distinct(remark for it in results for remark in it.remarks),
    )


def _first_other(usual: str, texts: Sequence[str]) -> str:
    """Return the first text that is neither empty nor the usual one, else the usual or nothing."""
    return next((text for text in texts if text not in ("", usual)), max(texts))


def _distinct(texts: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))
