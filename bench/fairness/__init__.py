"""Parts of the fairness benchmark: first tokens beside a flood, shares by weight, claims."""
