"""Event logs in Redis that belong to no response, or to one whose archive has replaced them."""

from models.store.store import Store
from models.streams.event_log import EventLog


def forget_orphaned_logs(store: Store, log: EventLog) -> int:
    """Delete such logs; return their number."""
    count = 0
    for logs in log.scan():
        has_ended = store.reaper.have_ended(list(logs))
        # All logs of deleted responses; of finished ones, those without a terminal event.
        orphaned = [
            response_id
            for response_id, has_end in logs.items()
            if response_id not in has_ended or (has_ended[response_id] and not has_end)
        ]
        if orphaned:
            log.forget(orphaned)
            count += len(orphaned)
    return count
