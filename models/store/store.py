"""Facade of the data access classes, which share one connection pool."""

from dataclasses import dataclass
from pathlib import Path

from models.database.connection import LIMIT_S, Database
from models.database.secrets import Secrets
from models.encryption.content_keys import ContentKeyring
from models.encryption.vault import SecretVault
from models.store.access.administration import ProjectAdministration
from models.store.access.api_keys import ApiKeys
from models.store.access.audit import AuditTrail
from models.store.access.projects import Projects
from models.store.access.removal import Removals
from models.store.access.sizes import Sizes
from models.store.checkpoints import Checkpoints
from models.store.claims import Claims
from models.store.content.codec import ContentCodec
from models.store.content.data_keys import DataKeys
from models.store.content.old_rows import OldContent
from models.store.conversations import Conversations
from models.store.dashboard.chains import Chains
from models.store.dashboard.progress import ProgressReader
from models.store.fairness.flows import Flows
from models.store.finish import Finisher
from models.store.idempotency_keys import IdempotencyKeys
from models.store.items import Items
from models.store.listing import ResponseLists
from models.store.monitoring.forecasts import ForecastStates
from models.store.monitoring.minutes import Minutes
from models.store.monitoring.queue import Queue
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
    data_keys: DataKeys
    old_content: OldContent
    responses: Responses
    lists: ResponseLists
    items: Items
    progress: ProgressReader
    chains: Chains
    claims: Claims
    finisher: Finisher
    checkpoints: Checkpoints
    flows: Flows
    workers: Workers
    reaper: Reaper
    queue: Queue
    minutes: Minutes
    forecasts: ForecastStates
    projects: Projects
    sizes: Sizes
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
        content_keys_file: Path | None = None,
    ) -> "Store":
        """Create a store for the database at `url`; connections are opened when first needed.

        At `maintenance_url`, if given, is the same database for statements over all projects.
        `pool_size` is the maximum number of connections; `limit_s` is the statement timeout in
        seconds. The secrets in the tables are encrypted with the key in `secret_file`, if given,
        and content with keys that are encrypted with that in `content_keys_file`.
        """
        vault = SecretVault.load(secret_file)
        database = Database(
            url, upkeep_url=maintenance_url, pool_size=pool_size, limit_s=limit_s, vault=vault
        )
        data_keys = DataKeys(database, ContentKeyring.load(content_keys_file))
        codec = ContentCodec(data_keys)
        return cls(
            database=database,
            data_keys=data_keys,
            old_content=OldContent(database, codec),
            responses=Responses(database, codec),
            lists=ResponseLists(database, codec),
            items=Items(database, codec),
            progress=ProgressReader(database),
            chains=Chains(database),
            claims=Claims(database, codec),
            finisher=Finisher(database, codec),
            checkpoints=Checkpoints(database),
            flows=Flows(database),
            workers=Workers(database),
            reaper=Reaper(database, codec),
            queue=Queue(database),
            minutes=Minutes(database),
            forecasts=ForecastStates(database),
            projects=Projects(database),
            sizes=Sizes(database),
            api_keys=ApiKeys(database),
            audit=AuditTrail(database),
            administration=ProjectAdministration(database),
            removals=Removals(database),
            partitions=Partitions(database),
            conversations=Conversations(database, codec),
            webhooks=Webhooks(database),
            deliveries=Deliveries(database),
            idempotency_keys=IdempotencyKeys(database, codec),
            secrets=Secrets(database),
        )

    def close(self) -> None:
        """Close the connection pool."""
        self.database.close()
