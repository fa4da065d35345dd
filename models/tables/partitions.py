"""Partitioning by month of the tables whose rows belong to one response and expire with it.

Ids are ordered by time, so a range of ids is a range of time, and the id stays the primary key.
Each partition of a child table has a foreign key to the partition of `responses` of the same month,
which deletes its rows with the response. A foreign key to `responses` as a whole would prevent
dropping the partitions of a month.
"""

PARENT = "responses"


def by_month(column: str) -> dict[str, str]:
    """Return the table arguments that partition a table by the ids in `column`."""
    return {"postgresql_partition_by": f"RANGE ({column})"}
