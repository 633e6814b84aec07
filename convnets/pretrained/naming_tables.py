"""The names of torchvision's networks, of the Caffe models of VGG's and ResNet's authors, and Keras's of VGG's layers.

torchvision's ResNets have the stride of a bottleneck in its 3x3 convolution; timm's names of the ResNets are the same.
Its GoogLeNet was trained on images normalized by 0.5 and 0.5, to which its `transform_input` brings images of
ImageNet's normalization.

The Caffe and Keras models see the channels blue, green, red on the scale to 255, less ImageNet's mean. The means are
rounded as VGG's authors give them; those of ResNet published a mean image.
"""

from functools import partial

from convnets.data.normalization import IMAGENET, Normalization
from convnets.models.googlenet import INCEPTIONS
from convnets.models.resnet import BASIC, BOTTLENECK
from convnets.models.vgg import SIZES
from convnets.pretrained.naming import Naming, Rule

PYTORCH = partial(
    Naming,
    "torchvision",
    arrays={"kernel": ".weight", "bias": ".bias"},
    norm_arrays={"scale": ".weight", "bias": ".bias", "mean": ".running_mean", "variance": ".running_var"},
    passed_over=(r".*\.num_batches_tracked",),
)
"""As PyTorch's layers name their arrays."""

TORCHVISION_ALEXNET = (
    Rule("conv1", "features.0"),
    Rule("conv2", "features.3"),
    Rule("conv3", "features.6"),
    Rule("conv4", "features.8"),
    Rule("conv5", "features.10"),
    Rule("fc6", "classifier.1"),
    Rule("fc7", "classifier.4"),
    Rule("logits", "classifier.6"),
)

TORCHVISION_RESNET = (
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
    PYTORCH("alexnet_owt", TORCHVISION_ALEXNET, IMAGENET, matrices=("fc6", "fc7", "logits")),
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
        PYTORCH(name, TORCHVISION_RESNET, IMAGENET, matrices=("logits",))
        for name in (*(f"resnet{depth}" for depth in BASIC), *(f"resnet{depth}_v1_5" for depth in BOTTLENECK))
    ),
)

LESS_MEANS = Normalization((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""Red, green, blue."""

CAFFE_VGG = (
    Rule("stage{s}_conv{c}/convolution", "conv{s}_{c}"),
    Rule("fc6", "fc6"),
    Rule("fc7", "fc7"),
    Rule("logits", "fc8"),
)

KERAS_VGG = (
    Rule("stage{s}_conv{c}/convolution", "block{s}_conv{c}"),
    Rule("fc6", "fc1"),
    Rule("fc7", "fc2"),
    Rule("logits", "predictions"),
)


def _caffe_norm(here: str, there: str) -> tuple[Rule, ...]:
    """Caffe keeps the statistics of a batch norm in one layer and its scale and bias in the next."""
    layers = {"mean": "bn", "variance": "bn", "scale": "scale", "bias": "scale"}
    return tuple(Rule(f"{here}/norm/{array}", f"{layer}{there}/{array}") for array, layer in layers.items())


CAFFE_RESNET = (
    Rule("conv1/convolution", "conv1"),
    *_caffe_norm("conv1", "_conv1"),
    Rule("stage{s}_block{b}/conv{c}/convolution", "res{s+1}{b:a}_branch2{c:a}"),
    *_caffe_norm("stage{s}_block{b}/conv{c}", "{s+1}{b:a}_branch2{c:a}"),
    Rule("stage{s}_block{b}/projection/convolution", "res{s+1}{b:a}_branch1"),
    *_caffe_norm("stage{s}_block{b}/projection", "{s+1}{b:a}_branch1"),
    Rule("logits", "fc1000"),
)

CAFFE = (
    *(
        Naming("Caffe", name, CAFFE_VGG, LESS_MEANS, matrices=("fc6", "fc7", "logits"), bgr=True)
        for name in ("vgg16", "vgg19")
    ),
    Naming(
        "Caffe",
        "resnet50",
        CAFFE_RESNET,
        LESS_MEANS,
        matrices=("logits",),
        biases=(Rule("conv1/norm/mean", "conv1/bias"),),
        bgr=True,
        options={"stem_pool": "ceil"},
    ),
)

# What Keras calls `block1_conv1` comes through converters as `model/block1_conv1_1/convolution/ReadVariableOp:0`.
LAYER = r"(?:.*/)?(\w+?)(?:_\d+)?"
KERAS = tuple(
    Naming(
        "Keras",
        name,
        KERAS_VGG,
        LESS_MEANS,
        matrices=("fc6", "fc7", "logits"),
        neurons_last=True,
        renames=(
            Rule(rf"{LAYER}/(?:convolution|Conv2D|Cast|MatMul)/ReadVariableOp(?::0)?", r"\1/weight"),
            Rule(rf"{LAYER}/(?:Squeeze|BiasAdd/ReadVariableOp)(?::0)?", r"\1/bias"),
        ),
        bgr=True,
    )
    for name in ("vgg16", "vgg19")
)

NAMINGS: tuple[Naming, ...] = (*TORCHVISION, *CAFFE, *KERAS)
"""All that are known."""

SAME = {
    f"{letter}{norms}": f"{depth}{norms}"
    for letter, depth in {"vgg_a": "vgg11", "vgg_b": "vgg13", "vgg_d": "vgg16", "vgg_e": "vgg19"}.items()
    for norms in ("", "_bn")
}
"""Networks that have two names: the paper's, and the one that the namings have."""


def namings_of(architecture: str) -> list[Naming]:
    """The namings that are known of a network."""
    return [naming for naming in NAMINGS if naming.architecture == SAME.get(architecture, architecture)]
