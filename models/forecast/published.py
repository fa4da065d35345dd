"""Forecasts in Redis: maintenance writes them, and API processes read those of their projects."""

from dataclasses import asdict
from typing import Any, cast

import orjson
import redis

from models.forecast.curve import Curve
from models.forecast.flow_state import FlowKey
from models.forecast.forecast import FlowShare, Forecast, QueueForecast

LEAST_TTL_S = 15.0
"""Seconds after which a forecast expires that is not renewed, or three intervals of renewal."""
_NORMAL, _FLEX = "normal", "flex"


class PublishedForecasts:
    """Access to the forecasts of all models."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def publish(self, model: str, forecast: Forecast, *, ttl_s: float = LEAST_TTL_S) -> None:
        """Replace the forecast of a model."""
        fields = {_NORMAL: _dump(forecast.normal), _FLEX: _dump(forecast.flex)}
        fields |= {_field(key): _dump(share) for key, share in forecast.shares.items()}
        key = _key(model)
        pipeline = self._client.pipeline()
        pipeline.delete(key)
        pipeline.hset(key, mapping=cast(dict[Any, Any], fields))
        pipeline.pexpire(key, round(1000 * ttl_s))
        pipeline.execute()

    def read(self, model: str, project_id: str) -> Forecast | None:
        """Return the forecast of a model with the shares of one project; None if there is none."""
        own = [(project_id, False), (project_id, True)]
        names = [_NORMAL, _FLEX, *map(_field, own)]
        found = cast(list[bytes | None], self._client.hmget(_key(model), names))
        normal, flex, *shares = found
        if normal is None or flex is None:
            return None
        return Forecast(
            normal=_load(normal),
            flex=_load(flex),
            shares={
                key: FlowShare(**orjson.loads(share))
                for key, share in zip(own, shares, strict=True)
                if share is not None
            },
        )


def _dump(value: QueueForecast | FlowShare) -> bytes:
    return orjson.dumps(asdict(value))


def _load(data: bytes) -> QueueForecast:
    fields = orjson.loads(data)
    return QueueForecast(**{**fields, "curve": Curve(**fields["curve"])})


def _key(model: str) -> str:
    return f"antiphon:forecast:{model}"


def _field(key: FlowKey) -> str:
    project_id, is_flex = key
    return f"{_FLEX if is_flex else _NORMAL}:{project_id}"
