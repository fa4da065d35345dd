"""Output of `antiphon models check`: what is known of a model before it is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from cli.client.clean_text import clean_line

if TYPE_CHECKING:
    from worker.weights.judge import Judgement

_GIB = 1 << 30


def as_row(judgement: Judgement) -> dict[str, Any]:
    """Return a judgement as JSON: `runs`, faults, and those facts that are known."""
    faults = [{"check": fault.check, "problem": fault.problem} for fault in judgement.faults]
    return {
        "model": judgement.model,
        "folder": str(judgement.folder),
        "runs": not faults,
        "fault": faults[0]["problem"] if faults else None,
        "faults": faults,
        **judgement.facts,
    }


def print_judgement(judgement: Judgement) -> None:
    """Print a judgement for people: a line that says if the model runs, then faults and facts."""
    verdict = "cannot be served" if judgement.faults else "can be served"
    typer.echo(clean_line(f"{judgement.model}: {verdict}"))
    for fault in judgement.faults:
        typer.echo(f"  ✗ {clean_line(fault.problem)}")
    for name, text in _describe(judgement.facts):
        typer.echo(f"  {name}: {clean_line(text)}")


def _describe(facts: dict[str, Any]) -> list[tuple[str, str]]:
    """Return the facts that are known as lines, the same for every model."""
    if not facts:
        return []
    rows = [
        ("network", _join(facts, "architecture", "model_type")),
        ("computed", f"{facts.get('forward', '?')}, {facts['dtype']}, on {facts['device']}"),
        ("quantised", facts["quantization"] or "no"),
        (
            "weights",
            f"{facts['num_weights'] / 1e9:.2f} billion, {_gib(facts, 'stored_bytes')} in files",
        ),
        (
            "memory",
            f"{_gib(facts, 'weights_bytes')} for weights and {_gib(facts, 'cache_bytes')} for the "
            f"cache, of {_gib(facts, 'free_bytes')} that are free",
        ),
        ("context", f"{facts.get('context_length') or 'unlimited'} tokens"),
        (
            "tools",
            facts["call_format"] if facts["takes_tools"] else "as text, in the generic format",
        ),
        ("reasoning", f"between {facts['reasoning']} tags" if facts["reasoning"] else "none known"),
        ("images", "yes" if facts.get("takes_images") else "no"),
    ]
    return [(name, str(text)) for name, text in rows]


def _join(facts: dict[str, Any], *names: str) -> str:
    return ", ".join(str(facts[name]) for name in names if facts.get(name)) or "?"


def _gib(facts: dict[str, Any], name: str) -> str:
    return f"{facts[name] / _GIB:.2f} GiB"
