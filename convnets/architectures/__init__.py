"""The networks of the lecture, one file a paper, and the one door to them.

A network is a Linen module: `network.apply(variables, images, train=...)` maps float images `[N, H, W, C]` to
`(logits, feature_maps)`. The logits are `[N, classes]` at the native image size and a map `[N, h, w, classes]` on
larger images; the feature maps are named (`stage1`, ..., `pre_logits`), for heads, probes and pictures to use.
"""

from convnets.architectures import lenet as _lenet  # noqa: F401  (registers its networks)
from convnets.architectures.registry import architectures, create

__all__ = ["architectures", "create"]
