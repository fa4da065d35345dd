"""`antiphon doctor`: what is wrong with this installation, and what to do about it."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import typer

from cli.client.clean_text import clean_line
from cli.client.options import Json
from cli.client.output import FAILED, print_json

if TYPE_CHECKING:
    from cli.doctor.examine import Result


def doctor(as_json: Json = False) -> None:
    """Look for what is wrong with the server of this machine; exit with 1 if something is."""
    from cli.doctor.examine import examine
    from cli.doctor.installation import Installation
    from models.settings import SettingsError, load_settings

    try:
        settings = load_settings()
    except SettingsError as error:
        _report_settings(str(error), as_json)
        raise typer.Exit(FAILED) from None
    num_findings = 0
    rows = []
    with closing(Installation(settings, os.environ)) as installation:
        for result in examine(installation):
            num_findings += len(result.findings)
            rows += [_row(result.check.name, each.problem, each.fix) for each in result.findings]
            if not as_json:
                _print(result)
    if as_json:
        print_json({"object": "list", "data": rows})
    elif not num_findings:
        typer.echo("nothing is wrong")
    if num_findings:
        raise typer.Exit(FAILED)


def _print(result: Result) -> None:
    for finding in result.findings:
        typer.echo(f"✗ {result.check.subject}: {clean_line(finding.problem)}")
        typer.echo(f"  → {clean_line(finding.fix)}")
    if result.skipped:
        typer.echo(typer.style(f"- {result.check.subject}: {result.skipped}", dim=True))
    elif not result.findings:
        typer.echo(f"✓ {result.check.subject}")


def _report_settings(message: str, as_json: bool) -> None:
    """Report settings that are invalid: nothing else can be looked at before they are corrected."""
    fix = "correct it; docs/settings.md says which values are allowed"
    lines = message.splitlines()
    if as_json:
        data = [_row("settings", line, fix) for line in lines]
        print_json({"object": "list", "data": data})
        return
    for line in lines:
        typer.echo(f"✗ settings: {clean_line(line)}\n  → {fix}")


def _row(check: str, problem: str, fix: str) -> dict[str, str]:
    return {"check": check, "problem": problem, "fix": fix}
