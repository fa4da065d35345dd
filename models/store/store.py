"""Facade of the data access classes, which share one connection pool."""

from dataclasses import dataclass
from pathlib import Path

from models.database.connection import LIMIT_S, Database
from models.database.secrets import Secrets
from models.encryption.vault import SecretVault
from models.store.access.administration import ProjectAdministration
from models.store.access.api_keys import ApiKeys
from models.store.access.audit import AuditTrail
from models.store.access.projects import Projects
from models.store.access.removal import Removals
from models.store.checkpoints import Checkpoints
from models.store.claims import Claims
from models.store.conversations import Conversations
from models.store.finish import Finisher
from models.store.idempotency_keys import IdempotencyKeys
from models.store.items import Items
from models.store.partitions import Partitions
from models.store.reaper import Reaper
from models.store.responses import Responses
from models.store.webhooks.deliveries import Deliveries
from models.store.webhooks.endpoints import Webhooks
from models.store.workers import Workers


@dataclass(frozen=True, slots=True)
class Store:
    """Data access objects of all tables, over one connection pool."""

    database: Database
    responses: Responses
    items: Items
    claims: Claims
    finisher: Finisher
    checkpoints: Checkpoints
    workers: Workers
    reaper: Reaper
    projects: Projects
    api_keys: ApiKeys
    audit: AuditTrail
    administration: ProjectAdministration
    removals: Removals
    partitions: Partitions
    conversations: Conversations
    webhooks: Webhooks
    deliveries: Deliveries
    idempotency_keys: IdempotencyKeys
    secrets: Secrets

    @classmethod
    def open(
        cls,
        url: str,
        *,
        maintenance_url: str | None = None,
        pool_size: int = 16,
        limit_s: float = LIMIT_S,
        secret_file: Path | None = None,
    ) -> "Store":
        """Create a store for the database at `url`; connections are opened when first needed.

        At `maintenance_url`, if given, is the same database for statements over all projects.
        `pool_size` is the maximum number of connections; `limit_s` is the statement timeout in
        seconds. The secrets in the tables are encrypted with the key in `secret_file`, if given.
        """
        vault = SecretVault.load(secret_file)
        database = Database(
            url, upkeep_url=maintenance_url, pool_size=pool_size, limit_s=limit_s, vault=vault
        )
        return cls(
            database=database,
            responses=Responses(database),
            items=Items(database),
            claims=Claims(database),
            finisher=Finisher(database),
            checkpoints=Checkpoints(database),
            workers=Workers(database),
            reaper=Reaper(database),
            projects=Projects(database),
            api_keys=ApiKeys(database),
            audit=AuditTrail(database),
            administration=ProjectAdministration(database),
            removals=Removals(database),
            partitions=Partitions(database),
            conversations=Conversations(database),
            webhooks=Webhooks(database),
            deliveries=Deliveries(database),
            idempotency_keys=IdempotencyKeys(database),
            secrets=Secrets(database),
        )

    def close(self) -> None:
        """Close the connection pool."""
        self.database.close()
