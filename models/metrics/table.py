"""All metrics, one row each: what /metrics exports and docs/metrics.md lists.

A label's value is a model, a worker or a word of the server's own: never what a client sent, and
never an id of a project, a key or a response.
"""

from models.metrics.metric import Metric, counter, gauge, histogram

# Waits and whole responses: from a tenth of a second to an hour.
_LONG_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
_FIRST_TOKEN_S = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 2, 3, 5, 10, 30, 60, 300)
_TOKEN_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.2, 0.5, 1, 5)
_GRAMMAR_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_POOL_S = (0.0001, 0.0005, 0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10)

JOBS = gauge("antiphon_jobs", "Responses that have not ended, by status.", "status", "model")
QUEUE_DEPTH = gauge(
    "antiphon_queue_depth",
    "Queued responses, by service tier: `flex`, `default` or `priority`.",
    *("model", "priority"),
)
QUEUE_OLDEST = gauge(
    "antiphon_queue_oldest_seconds",
    "Seconds since the oldest queued response was accepted; 0 if none is queued.",
    "model",
)
WORKERS = gauge("antiphon_workers", "Workers whose lease is valid.", "model")
DEPENDENCY_UP = gauge(
    "antiphon_dependency_up",
    "1 if the API reached it for this answer, else 0: `postgres` or `redis`.",
    "dependency",
)
QUEUE_WAIT = histogram(
    "antiphon_queue_wait_seconds",
    "Seconds from the acceptance of a response, or from its `not_before`, to its first claim by a "
    "worker.",
    "model",
    buckets=_LONG_S,
)
TTFT = histogram(
    "antiphon_ttft_seconds",
    "Seconds from the acceptance of a response to its first token, the wait in the queue included.",
    "model",
    buckets=_FIRST_TOKEN_S,
)
ITL = histogram(
    "antiphon_itl_seconds",
    "Seconds between two tokens of a sequence, each token counted.",
    "model",
    buckets=_TOKEN_S,
)
TOKENS = counter(
    "antiphon_tokens_total",
    "Tokens: `output` as they are generated, `input` and, of these, `cached`, from the prefix "
    "cache, when a response ends.",
    *("dir", "model"),
)
JOB_SECONDS = histogram(
    "antiphon_job_seconds",
    "Seconds from the acceptance of a response to its end, by the status that it ended with.",
    *("outcome", "model"),
    buckets=_LONG_S,
)
LEASE_RECLAIMS = counter(
    "antiphon_lease_reclaims_total",
    "Responses taken from workers that were lost: `expired` is their lease, `died` a worker that "
    "the supervisor has seen end.",
    "reason",
)
FENCED_WRITES = counter(
    "antiphon_fenced_writes_total",
    "Writes of attempts that are stale, refused: `events` in Redis, `end` in Postgres.",
    "write",
)
POISONED = counter(
    "antiphon_poisoned_total", "Responses given up because their workers were lost too often."
)
REPUBLISHED = counter(
    "antiphon_republished_total", "Wake-ups of queued responses that were sent again."
)
STREAM_CLIENTS = gauge(
    "antiphon_stream_clients", "Open streams, WebSockets and requests that wait for a response."
)
STREAM_RESUMES = counter(
    "antiphon_stream_resumes_total", "Streams that clients have resumed after an event."
)
STREAM_DROPPED = counter(
    "antiphon_stream_dropped_total",
    "Streams that ended early: `left` by their client, `slow` to be read, or by an `error`.",
    "reason",
)
LAST_TOKEN_AGE = gauge(
    "antiphon_worker_last_token_age_seconds",
    "Seconds since the last step of a worker's engine that has something to generate; 0 if idle.",
    *("model", "host", "worker"),
)
WORKER_ROWS = gauge(
    "antiphon_worker_rows", "Sequences in a worker's batch.", *("model", "host", "worker")
)
WORKER_PLACES = gauge(
    "antiphon_worker_places",
    "Largest number of sequences in a worker's batch.",
    *("model", "host", "worker"),
)
WORKER_SPEED = gauge(
    "antiphon_worker_tokens_per_second",
    "Tokens per second that a worker has generated in the last ten seconds.",
    *("model", "host", "worker"),
)
WORKER_CACHE_HITS = gauge(
    "antiphon_worker_cache_hit_ratio",
    "Share of the tokens of prompts that a worker's prefix cache had, in the last five minutes; "
    "absent without prompts.",
    *("model", "host", "worker"),
)
WORKER_DRAINING = gauge(
    "antiphon_worker_draining",
    "1 if a worker claims nothing more because it is being stopped, else 0.",
    *("model", "host", "worker"),
)
VRAM_BYTES = gauge(
    "antiphon_vram_bytes",
    "Memory that a worker holds on its device: reserved on a GPU (`cuda`), resident on a CPU.",
    *("model", "host", "worker", "device"),
)
GRAMMAR_COMPILE = histogram(
    "antiphon_grammar_compile_seconds",
    "Seconds to compile a grammar that was not cached, its wait for a place included.",
    "backend",
    buckets=_GRAMMAR_S,
)
GRAMMAR_REJECTS = counter(
    "antiphon_grammar_rejects_total",
    "Grammars and schemas refused: `unusable`, or `too_expensive` to compile.",
    "reason",
)
HTTP_REQUESTS = counter(
    "antiphon_http_requests_total",
    "Answers over HTTP; `route` is a pattern, or `none` for a path that has no route.",
    *("method", "route", "code"),
)
WEBHOOK_DELIVERIES = counter(
    "antiphon_webhook_deliveries_total",
    "Attempts to deliver webhooks: `delivered`, `failed`, or `gone` for good.",
    "result",
)
DB_POOL_WAIT = histogram(
    "antiphon_db_pool_wait_seconds",
    "Seconds that a statement waited for a connection of its pool, and for a new one to open.",
    buckets=_POOL_S,
)

METRICS: tuple[Metric, ...] = tuple(
    value for value in list(globals().values()) if isinstance(value, Metric)
)
