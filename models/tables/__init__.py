"""Database tables, one module each. Every row names the project that owns it, but for metrics."""

from models.tables.api_key import ApiKey
from models.tables.audit_entry import AuditEntry
from models.tables.conversation import Conversation, ConversationItem
from models.tables.event_archive import EventArchive
from models.tables.flow import ProjectFlow, UserFlow
from models.tables.idempotency_key import IdempotencyKey
from models.tables.item import Item
from models.tables.metric_minute import MetricMinute
from models.tables.project import DEFAULT_PROJECT, Project
from models.tables.response import Response
from models.tables.response_metadata import ResponseMetadata
from models.tables.webhooks.delivery import WebhookDelivery
from models.tables.webhooks.endpoint import WebhookEndpoint
from models.tables.worker import Worker

__all__ = [
    "DEFAULT_PROJECT",
    "ApiKey",
    "AuditEntry",
    "Conversation",
    "ConversationItem",
    "EventArchive",
    "IdempotencyKey",
    "Item",
    "MetricMinute",
    "Project",
    "ProjectFlow",
    "Response",
    "ResponseMetadata",
    "UserFlow",
    "WebhookDelivery",
    "WebhookEndpoint",
    "Worker",
]
