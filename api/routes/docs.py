"""/openapi.json, and /docs, which renders it without loading anything from other hosts."""

from pathlib import Path
from typing import cast

import flask_openapi3_scalar
from flask import Blueprint, Response, current_app, jsonify
from flask_openapi3.openapi import OpenAPI

from api.routes.openapi import make_document

_ASSETS = Path(flask_openapi3_scalar.__file__).parent / "templates" / "scalar"

blueprint = Blueprint("docs", __name__, static_folder=_ASSETS, static_url_path="/docs/assets")

# The reference writes its own styles into the page, and takes its fonts from data URLs.
_POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
        "form-action 'none'",
    ]
)

_PAGE = """<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>Antiphon API</title>
    <link rel="icon" href="/docs/assets/images/scalar.svg">
  </head>
  <body>
    <script id="api-reference" data-url="/openapi.json"
            data-configuration='{"withDefaultFonts": false, "telemetry": false}'></script>
    <script src="/docs/assets/js/scalar.standalone.js"></script>
  </body>
</html>
"""


@blueprint.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI 3.1 document, generated from the types that validate requests."""
    app = cast(OpenAPI, current_app)
    if "document" not in app.extensions:
        app.extensions["document"] = make_document(app)
    return jsonify(app.extensions["document"])


@blueprint.get("/docs")
def docs() -> Response:
    """Return the interactive reference of the API."""
    return Response(_PAGE, mimetype="text/html", headers={"Content-Security-Policy": _POLICY})
