"""Language models whose rotary positions depend on the length of the sequence."""

from bench.families.family import Family, Group

ORIGINAL_LENGTH = 64
"""Length above which longrope takes other factors; the prompts of the comparison cross it."""
_LONGROPE = {
    **{"rope_type": "longrope", "rope_theta": 10000.0},
    **{"short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7]},
    **{"long_factor": [1.0, 1.5, 2.0, 3.0, 5.0, 8.0, 12.0, 20.0]},
}
_PHI = {"original_max_position_embeddings": ORIGINAL_LENGTH, "sliding_window": None}
_PARTIAL = {
    **{"partial_rotary_factor": 0.75},
    **{"short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5]},
    **{"long_factor": [1.0, 1.5, 2.0, 5.0, 8.0, 20.0]},
}
_ALPHA = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 1.0, "alpha": 1000.0}

POSITIONS = Group(
    "Positions that depend on the length",
    (
        Family("Phi-3.5-mini, Phi-3 128k", "phi3", _PHI | {"rope_parameters": _LONGROPE}),
        Family("Phi-4-mini", "phi3", _PHI | {"rope_parameters": _LONGROPE | _PARTIAL}),
        Family(
            "Hunyuan dense",
            "hunyuan_v1_dense",
            {"rope_parameters": _ALPHA},
        ),
    ),
)
