"""Headers about limits on every answer to a project that has some."""

from flask import Flask, Response, g

from api.limits.project_limiter import ProjectLimiter


def install_rate_headers(app: Flask, limiter: ProjectLimiter) -> None:
    """Add the headers to answers."""

    def add(response: Response) -> Response:
        caller = g.get("caller")
        if caller is not None and (headers := limiter.headers(caller.project)):
            response.headers.update(headers)
        return response

    app.after_request(add)
