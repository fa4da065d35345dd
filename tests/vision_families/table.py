"""Every family of vision models that is tested."""

from tests.vision_families import (
    gemma,
    glm,
    idefics,
    internvl,
    kimi,
    lfm,
    llava,
    mistral,
    ovis,
    qwen,
)
from tests.vision_families.family import VisionFamily

_MODULES = (gemma, glm, idefics, internvl, kimi, lfm, llava, mistral, ovis, qwen)

FAMILIES: dict[str, VisionFamily] = {
    family.name: family for module in _MODULES for family in module.FAMILIES
}
