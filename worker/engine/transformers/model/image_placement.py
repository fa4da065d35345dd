"""Placement of image features in the language model, by hooks on its embeddings and first layers.

The network itself is given token ids only: whatever it derives from them, it derives as it does in
transformers.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from worker.engine.image_features import ImageRows


class ImagePlacement:
    """Hooks of one network: within `place`, they put features at the places of image tokens."""

    def __init__(self, model: Any) -> None:
        self.num_levels = _num_levels(model)
        """Number of layers to whose outputs features are added (DeepStack); mostly 0."""
        self._places: Tensor | None = None
        self._features: Tensor | None = None
        self._deep_features: Tensor | None = None
        model.get_input_embeddings().register_forward_hook(self._replace)
        layers = model.get_decoder().layers[: self.num_levels] if self.num_levels else ()
        for level, layer in enumerate(layers):
            layer.register_forward_hook(partial(self._add, level))

    @contextmanager
    def place(
        self,
        places: Tensor | None,
        features: Tensor | None,
        deep_features: Tensor | None = None,
    ) -> Iterator[None]:
        """Replace the embeddings at places [rows] of the packed tokens by features [rows, hidden].

        `deep_features` [levels, rows, hidden] are added to the outputs of the first layers. Does
        nothing without places.
        """
        self._places, self._features, self._deep_features = places, features, deep_features
        try:
            yield
        finally:
            self._places = self._features = self._deep_features = None

    @contextmanager
    def place_images(self, images: Sequence[ImageRows], device: torch.device) -> Iterator[None]:
        """Place the features of the images of a step, if it has any."""
        if not images:
            yield
            return
        places = [place for image in images for place in image.places]
        deep = [image.deep_features for image in images if image.deep_features is not None]
        with self.place(
            torch.tensor(places, device=device),
            torch.cat([image.features for image in images]),
            torch.cat(deep, 1) if deep else None,
        ):
            yield

    def _replace(self, _module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        if self._places is None or self._features is None:
            return output
        # In place on a copy, as OpenVINO converts no other form of it.
        return output[0].clone().index_put_((self._places,), self._features)[None]

    def _add(self, level: int, _layer: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        if self._places is None or self._deep_features is None:
            return output
        nothing = torch.zeros_like(output[0])
        return output + nothing.index_put_((self._places,), self._deep_features[level])


def _num_levels(model: Any) -> int:
    vision = getattr(model.config, "vision_config", None)
    return len(getattr(vision, "deepstack_visual_indexes", None) or ())
