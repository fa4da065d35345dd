"""The table of all checks, in the order in which they run and are shown."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cli.doctor.checks import (
    database,
    instance,
    machine,
    network,
    redis,
    secret_files,
    variables,
    work,
)
from cli.doctor.finding import Finding
from cli.doctor.installation import Installation


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at."""

    name: str
    subject: str
    """What is looked at, for people."""
    run: Callable[[Installation], Iterable[Finding]]


CHECKS = (
    Check("variables", "environment variables", variables.unknown),
    Check("data_folder", "data folder", machine.data_folder),
    Check("disk", "disk space", machine.disk),
    Check("memory", "memory", machine.memory),
    Check("open_files", "limit on open files", machine.open_files),
    Check("weights", "weights", machine.weights),
    Check("secret_file", "secret file", secret_files.secret_file),
    Check("content_keys", "content keys", secret_files.content_keys),
    Check("permissions", "permissions of secret files", secret_files.other_files),
    Check("certificate", "TLS certificate", network.certificate),
    Check("proxies", "trusted proxies", network.proxies),
    Check("hosts", "names that are answered", network.hosts),
    Check("instance", "other instances", instance.leftovers),
    Check("port", "port and readiness", network.port),
    Check("database", "database", database.reachable),
    Check("database_version", "version of Postgres", database.version),
    Check("migrations", "migrations", database.migrations),
    Check("roles", "database roles and rights", database.roles),
    Check("connections", "database connections", database.connections),
    Check("clock", "clocks", database.clock),
    Check("redis", "Redis", redis.reachable),
    Check("redis_version", "version of Redis", redis.version),
    Check("eviction", "eviction policy of Redis", redis.eviction),
    Check("persistence", "persistence of Redis", redis.persistence),
    Check("redis_memory", "memory of Redis", redis.memory),
    Check("workers", "workers", work.workers),
    Check("queue", "queue", work.queue),
    Check("exposure", "who can reach the API", network.exposure),
)
