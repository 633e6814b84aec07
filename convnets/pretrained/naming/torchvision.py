"""torchvision's names. timm's of the ResNets are the same.

torchvision's ResNets have the stride of a bottleneck in its 3x3 convolution. Its GoogLeNet was trained on images
normalized by 0.5 and 0.5, to which its `transform_input` brings images of ImageNet's normalization.
"""

from functools import partial

from convnets.data.normalization import IMAGENET, Normalization
from convnets.models.googlenet import INCEPTIONS
from convnets.models.resnet import BASIC, BOTTLENECK
from convnets.models.vgg import SIZES
from convnets.pretrained.naming.rules import Naming, Rule

PYTORCH = partial(
    Naming,
    "torchvision",
    arrays={"kernel": ".weight", "bias": ".bias"},
    norm_arrays={"scale": ".weight", "bias": ".bias", "mean": ".running_mean", "variance": ".running_var"},
    passed_over=(r".*\.num_batches_tracked",),
)
"""As PyTorch's layers name their arrays."""

ALEXNET = (
    Rule("conv1", "features.0"),
    Rule("conv2", "features.3"),
    Rule("conv3", "features.6"),
    Rule("conv4", "features.8"),
    Rule("conv5", "features.10"),
    Rule("fc6", "classifier.1"),
    Rule("fc7", "classifier.4"),
    Rule("logits", "classifier.6"),
)

RESNET = (
    Rule("conv1/convolution", "conv1"),
    Rule("conv1/norm", "bn1"),
    Rule("stage{s}_block{b}/conv{c}/convolution", "layer{s}.{b-1}.conv{c}"),
    Rule("stage{s}_block{b}/conv{c}/norm", "layer{s}.{b-1}.bn{c}"),
    Rule("stage{s}_block{b}/projection/convolution", "layer{s}.{b-1}.downsample.0"),
    Rule("stage{s}_block{b}/projection/norm", "layer{s}.{b-1}.downsample.1"),
    Rule("logits", "fc"),
)


def _vgg(configuration: str, norms: bool) -> tuple[Rule, ...]:
    """Layers are numbered through: convolution, norm if there is one, ReLU, and a pool after each stage."""
    rules, number = [], 0
    for stage, sizes in enumerate(SIZES[configuration], 1):
        for i in range(1, len(sizes) + 1):
            rules.append(Rule(f"stage{stage}_conv{i}/convolution", f"features.{number}"))
            rules.append(Rule(f"stage{stage}_conv{i}/norm", f"features.{number + 1}"))
            number += 3 if norms else 2
        number += 1
    classifier = (Rule("fc6", "classifier.0"), Rule("fc7", "classifier.3"), Rule("logits", "classifier.6"))
    return (*rules, *classifier)


def _unit(here: str, there: str) -> tuple[Rule, Rule]:
    return Rule(f"{here}/convolution", f"{there}.conv"), Rule(f"{here}/norm", f"{there}.bn")


def _googlenet() -> tuple[Rule, ...]:
    ways = {
        "1x1": "branch1",
        "3x3_reduce": "branch2.0",
        "3x3": "branch2.1",
        "5x5_reduce": "branch3.0",
        "5x5": "branch3.1",
        "pool_projection": "branch4.1",
    }
    units = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3", "auxiliary{a}/convolution": "aux{a}.conv"}
    units |= {
        f"inception_{module}/{way}": f"inception{module}.{branch}"
        for module in INCEPTIONS
        for way, branch in ways.items()
    }
    rules = [rule for here, there in units.items() for rule in _unit(here, there)]
    last = Rule("auxiliary{a}/fc", "aux{a}.fc1"), Rule("auxiliary{a}/logits", "aux{a}.fc2"), Rule("logits", "fc")
    return (*rules, *last)


TORCHVISION = (
    PYTORCH("alexnet_owt", ALEXNET, IMAGENET, matrices=("fc6", "fc7", "logits")),
    *(
        PYTORCH(
            f"vgg{depth}{'_bn' * norms}",
            _vgg(configuration, norms),
            IMAGENET,
            matrices=("fc6", "fc7", "logits"),
        )
        for depth, configuration in {11: "A", 13: "B", 16: "D", 19: "E"}.items()
        for norms in (False, True)
    ),
    PYTORCH(
        "googlenet_bn",
        _googlenet(),
        Normalization((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
        matrices=("auxiliary*/fc", "auxiliary*/logits", "logits"),
        optional=("auxiliary*",),
    ),
    *(
        PYTORCH(name, RESNET, IMAGENET, matrices=("logits",))
        for name in (*(f"resnet{depth}" for depth in BASIC), *(f"resnet{depth}_v1_5" for depth in BOTTLENECK))
    ),
)
