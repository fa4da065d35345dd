"""Spans of OpenTelemetry, sent as OTLP over HTTP; imported only if there is a collector."""

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span as LibrarySpan
from opentelemetry.trace import SpanKind, Status, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from models.tracing.spans import Attributes, Kind, Span

_PROPAGATOR = TraceContextTextMapPropagator()
_KINDS = {
    "internal": SpanKind.INTERNAL,
    "server": SpanKind.SERVER,
    "client": SpanKind.CLIENT,
}
_DELAY_MS = 1000
"""Milliseconds for which spans are collected before they are sent."""


class OtelSpan:
    """`Span` of the library."""

    def __init__(self, tracer: Tracer, span: LibrarySpan) -> None:
        self._tracer = tracer
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """Value of the header `traceparent` for what it causes."""
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier, set_span_in_context(self._span))
        return carrier.get("traceparent")

    def set(self, attributes: Attributes) -> None:
        """Add attributes."""
        self._span.set_attributes(attributes)

    def fail(self, error_type: str) -> None:
        """Mark the operation as failed."""
        self._span.set_attribute("error.type", error_type)
        self._span.set_status(Status(StatusCode.ERROR))

    def add_child(
        self,
        name: str,
        start_ns: int,
        end_ns: int | None = None,
        attributes: Attributes | None = None,
    ) -> None:
        """Add an operation that has ended already."""
        context = set_span_in_context(self._span)
        child = self._tracer.start_span(name, context, attributes=attributes, start_time=start_ns)
        child.end(end_ns)

    def end(self, end_ns: int | None = None) -> None:
        """End it."""
        if self._span.is_recording():
            self._span.end(end_ns)


class OtelExporter:
    """Provider of this server alone: libraries that trace themselves do not see it."""

    def __init__(self, endpoint: str, process: str) -> None:
        """Send to a collector; `process` is `api`, `worker` or `maintenance`.

        Headers, sampling and limits are those of OpenTelemetry's own variables.
        """
        resource = Resource.create(
            {"service.name": f"antiphon-{process}", "service.namespace": "antiphon"}
        )
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        sender = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
        self._provider.add_span_processor(
            BatchSpanProcessor(sender, schedule_delay_millis=_DELAY_MS)
        )
        self._tracer = self._provider.get_tracer("antiphon")

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
        carrier = {"traceparent": parent} if parent else {}
        # Not the current context: that is of other users of the library.
        context = _PROPAGATOR.extract(carrier, Context())
        span = self._tracer.start_span(
            name, context, kind=_KINDS[kind], attributes=attributes, start_time=start_ns
        )
        return OtelSpan(self._tracer, span)

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()
