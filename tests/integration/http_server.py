"""HTTP server around the app, for tests that need a socket."""

import contextlib
import threading
from collections.abc import Iterator

from flask_openapi3.openapi import OpenAPI
from werkzeug.serving import make_server


@contextlib.contextmanager
def serving(app: OpenAPI) -> Iterator[str]:
    """Serve the app on a free port; yield `host:port`."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"127.0.0.1:{server.port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
