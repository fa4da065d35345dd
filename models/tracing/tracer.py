"""Tracer of this process: off until the settings of the process turn it on."""

from importlib.util import find_spec
from typing import Protocol

from models.settings import Settings, SettingsError
from models.tracing.spans import NO_SPAN, Attributes, Kind, Span

_PACKAGES = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")


class Exporter(Protocol):
    """What makes and sends spans."""

    def start(
        self,
        name: str,
        *,
        parent: str | None,
        kind: Kind,
        start_ns: int | None,
        attributes: Attributes,
    ) -> Span:
        """Begin a span."""

    def close(self) -> None:
        """Send what is left."""


class Tracer:
    """Source of spans; one per process, as there is one log."""

    def __init__(self) -> None:
        self._exporter: Exporter | None = None
        self.includes_content = False
        """True if spans may contain what clients send and models write."""

    @property
    def is_on(self) -> bool:
        """Return True if spans are made."""
        return self._exporter is not None

    def turn_on(self, settings: Settings, process: str) -> None:
        """Send spans from now on, if the settings name a collector; call it after forks."""
        if settings.otlp_endpoint is None:
            return
        from models.tracing.otel import OtelExporter

        self._exporter = OtelExporter(settings.otlp_endpoint, process)
        self.includes_content = settings.trace_content

    def start(
        self,
        name: str,
        *,
        parent: str | None = None,
        kind: Kind = "internal",
        start_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> Span:
        """Begin a span, now unless `start_ns` is given; `parent` is a `traceparent`."""
        if self._exporter is None:
            return NO_SPAN
        return self._exporter.start(
            name, parent=parent, kind=kind, start_ns=start_ns, attributes=attributes or {}
        )

    def turn_off(self) -> None:
        """Send what is left, and make no more spans."""
        exporter, self._exporter = self._exporter, None
        if exporter is not None:
            exporter.close()


def check_packages(settings: Settings) -> None:
    """Raise `SettingsError` if traces are asked for and their packages are not installed."""
    if settings.otlp_endpoint is not None and not all(map(_is_installed, _PACKAGES)):
        raise SettingsError(
            "OTEL_EXPORTER_OTLP_ENDPOINT: traces need further packages: pip install '.[otel]'"
        )


def _is_installed(package: str) -> bool:
    try:
        return find_spec(package) is not None
    except ModuleNotFoundError:
        return False


TRACER = Tracer()
"""Tracer of this process."""
