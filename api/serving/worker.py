"""Gunicorn worker: a process whose connections belong to an event loop."""

import logging
import resource
import time
from typing import Any

from gunicorn.workers.base import Worker

from api.http.origins import AllowedOrigins
from api.services import Services
from api.serving.http_server import HttpServer
from api.serving.limits import ServingLimits
from api.serving.malloc import return_large_blocks
from models.tls import load_tls_context
from models.tracing.tracer import TRACER

logger = logging.getLogger(__name__)

NUM_RESERVED_CONNECTIONS = 1000
"""Connections beside those of streams: requests, probes, and those between two requests."""
_NUM_OTHER_FILES = 300
"""File descriptors for all but connections."""
_PULSE_S = 1.0
_HUNG_S = 10.0
"""Seconds without a sign of the event loop after which the process no longer reports as alive."""


class LoopWorker(Worker):  # type: ignore[misc]
    """Worker of gunicorn that serves with `HttpServer`."""

    def run(self) -> None:
        """Serve until told to stop; gunicorn ends a process whose loop hangs."""
        return_large_blocks()
        services: Services = self.wsgi.extensions["antiphon"]
        server = HttpServer(
            self.wsgi,
            services.loop,
            services.body_budget,
            make_limits(services.settings),
            AllowedOrigins.of(services.settings),
            services.door,
        )
        server.start(self.sockets, load_tls_context(services.settings))
        while self.alive:
            if time.monotonic() - server.swept_at < _HUNG_S:
                self.notify()
            time.sleep(_PULSE_S)
        server.stop(self.cfg.graceful_timeout)
        services.metric_publisher.stop()
        TRACER.turn_off()


def make_limits(settings: Any) -> ServingLimits:
    """Return the limits that the settings and the limit on open files allow."""
    wanted = settings.api_streams + NUM_RESERVED_CONNECTIONS
    others = _NUM_OTHER_FILES
    if settings.tls_cert_file is not None:
        others += ServingLimits().max_handshakes
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted + others:
        soft = wanted + others
        soft = soft if hard == resource.RLIM_INFINITY else min(soft, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        if soft < wanted + others:
            logger.warning("too few files may be open for all connections", extra={"files": soft})
            wanted = max(1, soft - others)
    share = settings.api_client_streams + NUM_RESERVED_CONNECTIONS // 2
    return ServingLimits(max_connections=wanted, max_client_connections=share)
