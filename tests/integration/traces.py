"""Search for a text in all rows of Postgres and all keys of Valkey."""

from typing import Any

import redis

from tests.integration.conftest import RunSql


def rows_that_mention(sql: RunSql, needle: str) -> list[tuple[Any, ...]]:
    """Return every row that has the text in any column, as `(table, row)`."""
    tables = sql("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    return [
        (table, row)
        for [table] in tables
        for [row] in sql(f"SELECT each::text FROM {table} each")
        if needle in row
    ]


def keys_that_mention(client: redis.Redis, needle: str) -> list[bytes]:
    """Return every key of Valkey that has the text in its name or its value."""
    return [key for key in client.scan_iter() if needle.encode() in key + _value_of(client, key)]


def _value_of(client: Any, key: bytes) -> bytes:
    """Return a value of any type as bytes to search in."""
    match client.type(key):
        case b"string":
            value: bytes | None = client.get(key)
            return value or b""
        case b"stream":
            return b"".join(field[b"d"] for _, field in client.xrange(key))
        case b"hash":
            return b"".join(client.hvals(key))
        case b"list":
            return b"".join(client.lrange(key, 0, -1))
        case b"set":
            return b"".join(client.smembers(key))
        case b"none":
            return b""
        case other:
            raise AssertionError(f"{key!r} has a type nobody expected: {other!r}")
