"""Misconfigurations that `antiphon doctor` must find, each seeded into a healthy installation."""

import base64
import os
import resource
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis

from cli.embedded.ports import free_port
from cli.supervisor.run_folder import RunFolder
from models.settings import Settings
from models.store.store import Store
from tests.certificates import make_certificate
from tests.integration.conftest import RunSql
from tests.integration.desk import Desk
from tests.integration.keys import create_key

KEY = base64.b64encode(b"k" * 32).decode() + "\n"
_SECRET = "a secret of the server\n"


@dataclass
class Scene:
    """A healthy installation, and what is needed to spoil it."""

    settings: Settings
    folder: Path
    desk: Desk
    sql: RunSql
    client: redis.Redis
    patch: pytest.MonkeyPatch
    undo: ExitStack
    superuser_url: str
    empty_url: str
    environ: dict[str, str] = field(default_factory=dict)
    proc: Path = Path("/proc")

    def write(self, name: str, text: str | bytes, mode: int = 0o600) -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(mode)
        return path

    def configure_redis(self, name: str, value: object) -> None:
        """Change a value of the configuration of Redis until the end of the test."""
        before: Any = self.client.config_get(name)
        self.undo.callback(self.client.config_set, name, dict(before)[name])
        self.client.config_set(name, str(value))

    def certificate(self, **more: Any) -> dict[str, Any]:
        """Return the settings of a certificate that is new."""
        made = make_certificate("127.0.0.1", **more)
        return {
            "tls_cert_file": self.write("cert.pem", made.certificate),
            "tls_key_file": self.write("key.pem", made.key),
        }

    def hold_port(self) -> int:
        """Listen on a port as another program would; it answers nothing that we understand."""
        server = self.undo.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1))
        return int(server.getsockname()[1])


Seed = Callable[[Scene], dict[str, Any] | None]
"""Spoils the scene, and returns the settings that are spoilt."""

SEEDS: dict[str, tuple[str, str, str, Seed]] = {}
"""Name of the check, parts of the problem and of the fix, and the seed, by the seed's name."""


def seed(check: str, problem: str, fix: str) -> Callable[[Seed], Seed]:
    """Add a seed with what is expected of it."""

    def add(spoil: Seed) -> Seed:
        SEEDS[getattr(spoil, "__name__", "")] = (check, problem, fix, spoil)
        return spoil

    return add


@seed("variables", "ANTIPHON_PROT is no setting", "ANTIPHON_PORT?")
def misspelt_variable(at: Scene) -> None:
    at.environ["ANTIPHON_PROT"] = "8001"


@seed("data_folder", "files of something else: thesis.doc", "ANTIPHON_DATA_DIR")
def foreign_data_folder(at: Scene) -> dict[str, Any]:
    (at.folder / "documents").mkdir()
    (at.folder / "documents" / "thesis.doc").touch()
    return {"data_dir": at.folder / "documents"}


@seed("data_folder", "is no folder", "ANTIPHON_DATA_DIR")
def file_as_data_folder(at: Scene) -> dict[str, Any]:
    return {"data_dir": at.write("file", "")}


@seed("disk", "0.5 GiB are free", "make room")
def full_disk(at: Scene) -> None:
    usage = SimpleNamespace(free=1 << 29, total=1 << 40)
    at.patch.setattr("shutil.disk_usage", lambda _: usage)


@seed("memory", "0.5 GiB of memory are available", "ANTIPHON_KV_CACHE_GIB")
def little_memory(at: Scene) -> dict[str, Any]:
    (at.folder / "proc").mkdir()
    at.proc = at.folder / "proc"
    (at.proc / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:  524288 kB\n")
    return {"engine": "transformers"}


@seed("open_files", "a process may open 1024 files", "ulimit -Hn 6256")
def low_limit_on_files(at: Scene) -> dict[str, Any]:
    at.patch.setattr(resource, "getrlimit", lambda _: (1024, 1024))
    return {"api_streams": 5000}


@seed("weights", "they are not in", "./antiphon models pull")
def missing_weights(at: Scene) -> dict[str, Any]:
    return {"engine": "transformers"}


@seed("weights", "has 61 of 67 bytes", "or name another model")
def truncated_weights(at: Scene) -> dict[str, Any]:
    folder = at.folder / "model"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "llama"}')
    (folder / "tokenizer.json").write_text('{"model": {}}')
    header = b'{"w":{"dtype":"U8","shape":[6],"data_offsets":[0,6]}}'
    (folder / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    return {"engine": "transformers", "model": str(folder)}


@seed("secret_file", "No such file", "restore")
def lost_secret_file(at: Scene) -> dict[str, Any]:
    return {"secret_file": at.folder / "none"}


@seed("secret_file", "16", "restore")
def short_secret(at: Scene) -> dict[str, Any]:
    return {"secret_file": at.write("short", "short\n")}


@seed("secret_file", "others can read", "chmod 600")
def open_secret_file(at: Scene) -> dict[str, Any]:
    return {"secret_file": at.write("open", _SECRET, mode=0o644)}


@seed("secret_file", "ANTIPHON_SECRET_FILE is not set", "openssl rand")
def no_secret_file(at: Scene) -> dict[str, Any]:
    return {"secret_file": None}


@seed("content_keys", "ANTIPHON_CONTENT_KEYS_FILE", "openssl rand -base64 32")
def broken_content_keys(at: Scene) -> dict[str, Any]:
    return {"content_keys_file": at.write("keys", "no key\n")}


@seed("content_keys", "others can read", "chmod 600")
def open_content_keys(at: Scene) -> dict[str, Any]:
    return {"content_keys_file": at.write("keys", KEY, mode=0o604)}


@seed("permissions", "ANTIPHON_TLS_KEY_FILE: others can read", "chmod 600")
def open_tls_key(at: Scene) -> dict[str, Any]:
    changes = at.certificate(valid=timedelta(days=90))
    changes["tls_key_file"].chmod(0o644)
    return changes


@seed("certificate", "ANTIPHON_TLS_KEY_FILE is not set", "a certificate and its key")
def certificate_without_key(at: Scene) -> dict[str, Any]:
    return {"tls_cert_file": at.certificate()["tls_cert_file"]}


@seed("certificate", "the key is not that of the certificate", "a certificate and its key")
def key_of_another_certificate(at: Scene) -> dict[str, Any]:
    changes = at.certificate()
    at.write("key.pem", make_certificate("127.0.0.1").key)
    return changes


@seed("certificate", "has expired on", "renew it")
def expired_certificate(at: Scene) -> dict[str, Any]:
    return at.certificate(valid=timedelta(days=-1))


@seed("certificate", "the certificate expires on", "renew it")
def certificate_that_expires_soon(at: Scene) -> dict[str, Any]:
    return at.certificate(valid=timedelta(days=3))


@seed("proxies", "every client may claim any address", "the address of the proxy alone")
def everyone_as_proxy(at: Scene) -> dict[str, Any]:
    return {"trusted_proxies": (ip_network("0.0.0.0/0"),), "allowed_hosts": ("api.example",)}


@seed("proxies", "cannot reach ANTIPHON_HOST=127.0.0.1", "ANTIPHON_HOST must be")
def unreachable_for_the_proxy(at: Scene) -> dict[str, Any]:
    return {"trusted_proxies": (ip_network("10.0.0.2/32"),), "allowed_hosts": ("api.example",)}


@seed("proxies", "ANTIPHON_ALLOWED_HOSTS is not", "ANTIPHON_ALLOWED_HOSTS=api.example.com")
def domain_of_the_proxy_is_refused(at: Scene) -> dict[str, Any]:
    return {"trusted_proxies": (ip_network("127.0.0.1/32"),)}


@seed("hosts", "ANTIPHON_ALLOWED_HOSTS=*", "name the domains")
def any_host(at: Scene) -> dict[str, Any]:
    return {"allowed_hosts": ("*",)}


@seed("hosts", "ANTIPHON_ADMIN_HOSTS=*", "loopback alone")
def any_admin_host(at: Scene) -> dict[str, Any]:
    return {"admin_hosts": ("*",)}


@seed("instance", "that was killed still run: worker-1", "kill")
def orphans(at: Scene) -> None:
    run = at.settings.data_dir / "run"
    run.mkdir()
    (run / "worker-1.pid").write_text(f"{os.getpid()}\n")


@seed("port", "is taken by another program", "ANTIPHON_PORT")
def taken_port(at: Scene) -> dict[str, Any]:
    return {"port": at.hold_port()}


@seed("port", "its API does not listen", "log/api.log")
def api_that_does_not_listen(at: Scene) -> None:
    at.undo.enter_context(RunFolder(at.settings.data_dir).lock())


@seed("database", "DATABASE_URL: the database does not let us in", "start Postgres")
def no_postgres(at: Scene) -> dict[str, Any]:
    return {"database_url": f"postgresql://nobody@127.0.0.1:{free_port()}/none"}


@seed("database", "password authentication failed", "correct DATABASE_URL")
def wrong_password(at: Scene) -> dict[str, Any]:
    url = at.settings.database_url or ""
    credentials, _, place = url.rpartition("@")
    return {"database_url": f"{credentials}x@{place}"}


@seed("migrations", "no tables of ours", "./antiphon migrate")
def no_tables(at: Scene) -> dict[str, Any]:
    return {"database_url": at.empty_url, "database_maintenance_url": at.empty_url}


@seed("migrations", "of an older version (0001)", "./antiphon migrate")
def old_tables(at: Scene) -> None:
    _set_revision(at, "0001")


@seed("migrations", "of a newer version (9999)", "check out the newer version")
def new_tables(at: Scene) -> None:
    _set_revision(at, "9999")


@seed("roles", "is not held to row-level security", "./antiphon roles")
def superuser(at: Scene) -> dict[str, Any]:
    return {"database_url": at.superuser_url}


@seed("roles", "may not write responses", "./antiphon migrate")
def missing_rights(at: Scene) -> None:
    at.undo.callback(at.sql, "GRANT INSERT ON items TO antiphon_app")
    at.sql("REVOKE INSERT ON items FROM antiphon_app")


@seed("roles", "which sees one project at a time", "DATABASE_MAINTENANCE_URL")
def no_maintenance_role(at: Scene) -> dict[str, Any]:
    return {"database_maintenance_url": at.settings.database_url}


@seed("connections", "Postgres allows 200 connections", "max_connections = 1050")
def too_few_connections(at: Scene) -> dict[str, Any]:
    return {"api_processes": 64}


@seed("clock", "off that of this machine", "synchronise")
def wrong_clock(at: Scene) -> None:
    ahead = SimpleNamespace(time=lambda: time.time() + 60)
    at.patch.setattr("cli.doctor.checks.database.time", ahead)


@seed("redis", "REDIS_URL: Redis does not let us in", "start Redis")
def no_redis(at: Scene) -> dict[str, Any]:
    return {"redis_url": f"redis://127.0.0.1:{free_port()}"}


@seed("eviction", "maxmemory-policy is allkeys-lru", "noeviction")
def evicting_redis(at: Scene) -> None:
    at.configure_redis("maxmemory-policy", "allkeys-lru")


@seed("persistence", "appendonly is no", "CONFIG SET appendonly yes")
def forgetful_redis(at: Scene) -> None:
    at.configure_redis("appendonly", "no")


@seed("redis_memory", "Redis uses", "raise maxmemory")
def full_redis(at: Scene) -> None:
    info: Any = at.client.info("memory")
    at.configure_redis("maxmemory", int(info["used_memory"] * 1.01))


@seed("workers", "no worker serves scripted-big", "./antiphon worker")
def model_without_worker(at: Scene) -> dict[str, Any]:
    return {"more_models": "big"}


@seed("workers", "lost without a word: gone", "start it again")
def lost_worker(at: Scene) -> None:
    at.desk.hire(name="gone")
    at.sql("UPDATE workers SET lease_until = now() - interval '1 h' WHERE name = 'gone'")


@seed("queue", "1 responses wait for unknown, which no worker serves", "ANTIPHON_MORE_MODELS")
def responses_for_nobody(at: Scene) -> None:
    at.desk.create(model="unknown")


@seed("queue", "has waited 10m", "ANTIPHON_WORKERS")
def long_queue(at: Scene) -> None:
    at.desk.create()
    at.sql("UPDATE responses SET created_at = now() - interval '10 min'")


@seed("exposure", "may use it without a key", "./antiphon keys create")
def open_to_all(at: Scene) -> dict[str, Any]:
    return {"host": "0.0.0.0"}


@seed("exposure", "without TLS", "ANTIPHON_TLS_CERT_FILE")
def keys_in_the_clear(at: Scene) -> dict[str, Any]:
    assert at.settings.database_url is not None
    store = Store.open(at.settings.database_url, secret_file=at.settings.secret_file)
    create_key(store)
    store.close()
    return {"host": "0.0.0.0"}


def _set_revision(at: Scene, revision: str) -> None:
    [(before,)] = at.sql("SELECT version_num FROM alembic_version")
    at.undo.callback(at.sql, "UPDATE alembic_version SET version_num = %s", before)
    at.sql("UPDATE alembic_version SET version_num = %s", revision)


def all_seeds() -> list[Any]:
    """Return the seeds as parameters of a test."""
    return [pytest.param(*expected, id=name) for name, expected in SEEDS.items()]
