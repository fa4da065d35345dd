"""Which tokens a step computes: scheduling, cache blocks and packing."""
