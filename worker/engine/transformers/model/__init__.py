"""Loading a transformers model and checking that it computes right results."""
