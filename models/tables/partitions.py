"""Partitions by month: tables whose rows are about one response, and expire with it.

Ids are in order of time, so a range of ids is a range of time and the primary key stays the id.
Each child's partition refers to the partition of `responses` of the same month, which deletes its
rows with the response's; a key to the whole of `responses` would forbid dropping a month.
"""

PARENT = "responses"


def by_month(column: str) -> dict[str, str]:
    """The table argument that partitions by the ids in `column`."""
    return {"postgresql_partition_by": f"RANGE ({column})"}
