"""The store: the only code that speaks SQL. Every statement names the project."""

from dataclasses import dataclass

from models.database.connection import LIMIT_S, Database
from models.store.checkpoints import Checkpoints
from models.store.claims import Claims
from models.store.conversations import Conversations
from models.store.finish import Finisher
from models.store.idempotency_keys import IdempotencyKeys
from models.store.items import Items
from models.store.partitions import Partitions
from models.store.projects import Projects
from models.store.reaper import Reaper
from models.store.responses import Responses
from models.store.webhooks.deliveries import Deliveries
from models.store.webhooks.endpoints import Webhooks
from models.store.workers import Workers


@dataclass(frozen=True, slots=True)
class Store:
    """The desks of the store, over one pool of connections."""

    database: Database
    responses: Responses
    items: Items
    claims: Claims
    finisher: Finisher
    checkpoints: Checkpoints
    workers: Workers
    reaper: Reaper
    projects: Projects
    partitions: Partitions
    conversations: Conversations
    webhooks: Webhooks
    deliveries: Deliveries
    idempotency_keys: IdempotencyKeys

    @classmethod
    def open(cls, url: str, *, pool_size: int = 16, limit_s: float = LIMIT_S) -> "Store":
        """A store on the database at `url`; connections are made when first needed."""
        database = Database(url, pool_size=pool_size, limit_s=limit_s)
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
            partitions=Partitions(database),
            conversations=Conversations(database),
            webhooks=Webhooks(database),
            deliveries=Deliveries(database),
            idempotency_keys=IdempotencyKeys(database),
        )

    def close(self) -> None:
        """Close the pool."""
        self.database.close()
