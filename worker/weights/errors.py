"""Errors of weights, apart from the libraries that fetch and convert them."""


class WeightsError(Exception):
    """Failure to fetch or read weights; the message says which and why."""


class HubError(WeightsError):
    """The model could not be fetched; the message says why."""
