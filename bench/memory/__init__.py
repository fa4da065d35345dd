"""Memory of networks in every kind of weights, beside its estimate."""
