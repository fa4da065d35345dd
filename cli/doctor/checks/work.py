"""The queue and those who work on it."""

from collections.abc import Iterator

from cli.client.times import format_age
from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation

_OLD_S = 300.0
"""Seconds for which a response may wait before that is a finding."""
_LOGS = "see log/worker-1.log in the data folder, or that of the worker"


def workers(at: Installation) -> Iterator[Finding]:
    """Look if each served model has a worker, and if workers were lost."""
    from models.profile.weights import served_model_id

    _require_tables(at)
    rows = at.query("SELECT name, model, lease_until > now() FROM workers", upkeep=True)
    alive = {model for _, model, is_alive in rows if is_alive}
    for settings in at.settings.split_by_model():
        model = served_model_id(settings)
        if model not in alive:
            yield Finding(
                f"no worker serves {model}",
                f"start one: ./antiphon up, or ./antiphon worker; {_LOGS}",
            )
    lost = [name for name, _, is_alive in rows if not is_alive]
    if lost:
        yield Finding(f"lost without a word: {', '.join(sorted(lost))}", f"start it again; {_LOGS}")


def queue(at: Installation) -> Iterator[Finding]:
    """Look if responses wait for long, or for a model that nobody serves."""
    _require_tables(at)
    rows = at.query(
        """
        SELECT r.model, count(*),
               extract(epoch FROM now() - min(greatest(r.created_at, r.not_before)))::float,
               EXISTS (SELECT FROM workers w WHERE w.model = r.model AND w.lease_until > now())
        FROM responses r WHERE r.status = 'queued' AND NOT r.deferred GROUP BY r.model
        """,
        upkeep=True,
    )
    for model, number, oldest_s, is_served in rows:
        if not is_served:
            yield Finding(
                f"{number} responses wait for {model}, which no worker serves",
                "serve it (ANTIPHON_MORE_MODELS), or cancel them: ./antiphon cancel",
            )
        elif oldest_s > _OLD_S:
            yield Finding(
                f"the oldest of {number} responses for {model} has waited {format_age(oldest_s)}",
                "start more workers (ANTIPHON_WORKERS), or limit projects (./antiphon projects)",
            )


def _require_tables(at: Installation) -> None:
    [(has_tables,)] = at.query("SELECT to_regclass('workers') IS NOT NULL", upkeep=True)
    if not has_tables:
        raise NotApplicable("the database has no tables of ours")
