"""The networks of the lecture, one file a paper.

A network is a Linen module: `network.apply(variables, images, train=...)` maps float images `[N, H, W, C]` to
`(logits, feature_maps)`. The logits are `[N, classes]` at the native image size (`network.image_size`) and a map
`[N, h, w, classes]` on larger images; the feature maps are named (`stem`, `stage1`, ..., `pre_logits`), for heads,
probes and pictures to use. In training, maps named `auxiliary...` are the logits of auxiliary classifiers.
"""

from convnets.models import alexnet, googlenet, lenet, resnet, vgg  # noqa: F401  (register their networks)
from convnets.models.registry import architectures, create, list_models

__all__ = ["architectures", "create", "list_models"]
