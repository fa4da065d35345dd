"""All families, in groups."""

from bench.families.family import Family
from bench.families.rows.full_attention import FULL_ATTENTION
from bench.families.rows.images import IMAGES, IMAGES_AND_WINDOWS
from bench.families.rows.positions import POSITIONS
from bench.families.rows.refused import REFUSED
from bench.families.rows.states import STATES
from bench.families.rows.windows import WINDOWS

GROUPS = (FULL_ATTENTION, IMAGES, WINDOWS, STATES, POSITIONS, IMAGES_AND_WINDOWS, REFUSED)


def families_named(patterns: list[str]) -> list[Family]:
    """Return the families whose names or model types contain one of the texts, or all for none.

    Raises `ValueError` for a text that no family contains.
    """
    families = [family for group in GROUPS for family in group.families]
    found: list[Family] = []
    for pattern in patterns:
        matching = [family for family in families if _matches(family, pattern)]
        if not matching:
            raise ValueError(f"no family is named {pattern!r}")
        found += [family for family in matching if family not in found]
    return found if patterns else families


def _matches(family: Family, pattern: str) -> bool:
    return pattern.lower() in family.name.lower() or pattern == family.model_type
