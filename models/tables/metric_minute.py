"""Readings of metrics at every minute of the last day, for the graphs of the dashboard."""

from datetime import datetime
from typing import Any

from sqlalchemy import DateTime, Text
from sqlalchemy.orm import Mapped, mapped_column

from models.database.connection import Base


class MetricMinute(Base):
    """Metrics of one model as they were in one minute, over all projects: numbers alone."""

    __tablename__ = "metric_minutes"

    minute: Mapped[datetime] = mapped_column(DateTime(timezone=True), primary_key=True)
    """Beginning of the minute by the database's clock."""
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    taken_at: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    """Time of the reading, within the minute."""
    num_queued: Mapped[int]
    totals: Mapped[dict[str, Any]]
    """Totals since Redis was last empty; the difference of two readings is what happened between
    them."""
