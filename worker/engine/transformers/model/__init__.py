"""Loading of a transformers model and checks that it computes correct results."""
