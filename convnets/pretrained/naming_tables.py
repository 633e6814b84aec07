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
from convnets.pretrained.naming import Naming

MATRICES = ("fc6", "fc7", "logits")
PYTORCH = partial(
    Naming,
    "torchvision",
    arrays={"kernel": ".weight", "bias": ".bias"},
    norm_arrays={"scale": ".weight", "bias": ".bias", "mean": ".running_mean", "variance": ".running_var"},
    passed_over=r".*\.num_batches_tracked",
)
"""As PyTorch's layers name their arrays."""

TORCHVISION_ALEXNET = {
    "conv1": "features.0",
    "conv2": "features.3",
    "conv3": "features.6",
    "conv4": "features.8",
    "conv5": "features.10",
    "fc6": "classifier.1",
    "fc7": "classifier.4",
    "logits": "classifier.6",
}
TORCHVISION_RESNET = {
    "conv1/convolution": "conv1",
    "conv1/norm": "bn1",
    "stage{s}_block{b}/conv{c}/convolution": "layer{s}.{b-1}.conv{c}",
    "stage{s}_block{b}/conv{c}/norm": "layer{s}.{b-1}.bn{c}",
    "stage{s}_block{b}/projection/convolution": "layer{s}.{b-1}.downsample.0",
    "stage{s}_block{b}/projection/norm": "layer{s}.{b-1}.downsample.1",
    "logits": "fc",
}
TORCHVISION_INCEPTION = {
    "1x1": "branch1",
    "3x3_reduce": "branch2.0",
    "3x3": "branch2.1",
    "5x5_reduce": "branch3.0",
    "5x5": "branch3.1",
    "pool_projection": "branch4.1",
}


def _torchvision_vgg(configuration: str, norms: bool) -> dict[str, str]:
    """Layers are numbered through: convolution, norm if there is one, ReLU, and a pool after each stage."""
    rules, number = {}, 0
    for stage, sizes in enumerate(SIZES[configuration], 1):
        for i in range(1, len(sizes) + 1):
            rules[f"stage{stage}_conv{i}/convolution"] = f"features.{number}"
            rules[f"stage{stage}_conv{i}/norm"] = f"features.{number + 1}"
            number += 3 if norms else 2
        number += 1
    return rules | {"fc6": "classifier.0", "fc7": "classifier.3", "logits": "classifier.6"}


def _torchvision_googlenet() -> dict[str, str]:
    units = {"conv1": "conv1", "conv2_reduce": "conv2", "conv2": "conv3", "auxiliary{a}/convolution": "aux{a}.conv"}
    for module in INCEPTIONS:
        units |= {f"inception_{module}/{way}": f"inception{module}.{to}" for way, to in TORCHVISION_INCEPTION.items()}
    rules = {f"{here}/convolution": f"{there}.conv" for here, there in units.items()}
    rules |= {f"{here}/norm": f"{there}.bn" for here, there in units.items()}
    return rules | {"auxiliary{a}/fc": "aux{a}.fc1", "auxiliary{a}/logits": "aux{a}.fc2", "logits": "fc"}


TORCHVISION = (
    PYTORCH("alexnet_owt", TORCHVISION_ALEXNET, IMAGENET, matrices=MATRICES),
    *(
        PYTORCH(f"vgg{depth}{'_bn' * norms}", _torchvision_vgg(configuration, norms), IMAGENET, matrices=MATRICES)
        for depth, configuration in {11: "A", 13: "B", 16: "D", 19: "E"}.items()
        for norms in (False, True)
    ),
    PYTORCH(
        "googlenet_bn",
        _torchvision_googlenet(),
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

CAFFE_VGG = {"stage{s}_conv{c}/convolution": "conv{s}_{c}", "fc6": "fc6", "fc7": "fc7", "logits": "fc8"}
KERAS_VGG = {"stage{s}_conv{c}/convolution": "block{s}_conv{c}", "fc6": "fc1", "fc7": "fc2", "logits": "predictions"}


def _caffe_resnet() -> dict[str, str]:
    """Caffe keeps the statistics of a batch norm in one layer and its scale and bias in the next."""
    rules = {"logits": "fc1000", "conv1/convolution": "conv1"}
    units = {
        "conv1": "_conv1",
        "stage{s}_block{b}/conv{c}": "{s+1}{b:a}_branch2{c:a}",
        "stage{s}_block{b}/projection": "{s+1}{b:a}_branch1",
    }
    for here, there in units.items():
        rules.setdefault(f"{here}/convolution", f"res{there}")
        for array, layer in {"mean": "bn", "variance": "bn", "scale": "scale", "bias": "scale"}.items():
            rules[f"{here}/norm/{array}"] = f"{layer}{there}/{array}"
    return rules


CAFFE = (
    *(Naming("Caffe", name, CAFFE_VGG, LESS_MEANS, matrices=MATRICES, bgr=True) for name in ("vgg16", "vgg19")),
    Naming(
        "Caffe",
        "resnet50",
        _caffe_resnet(),
        LESS_MEANS,
        matrices=("logits",),
        biases={"conv1/norm/mean": "conv1/bias"},
        bgr=True,
        options={"stem_pool": "ceil"},
    ),
)

# What Keras calls `block1_conv1` comes through converters as `model/block1_conv1_1/convolution/ReadVariableOp:0`.
LAYER = r"(?:.*/)?(\w+?)(?:_\d+)?"
KERAS_RENAMES = {
    rf"{LAYER}/(?:convolution|Conv2D|Cast|MatMul)/ReadVariableOp(?::0)?": r"\1/weight",
    rf"{LAYER}/(?:Squeeze|BiasAdd/ReadVariableOp)(?::0)?": r"\1/bias",
}
KERAS = tuple(
    Naming("Keras", name, KERAS_VGG, LESS_MEANS, matrices=MATRICES, neurons_last=True, renames=KERAS_RENAMES, bgr=True)
    for name in ("vgg16", "vgg19")
)

NAMINGS: tuple[Naming, ...] = (*TORCHVISION, *CAFFE, *KERAS)
"""All that are known."""

SAME = {"vgg_a": "vgg11", "vgg_b": "vgg13", "vgg_d": "vgg16", "vgg_e": "vgg19"}
"""Networks that have two names, with "_bn" or without: the paper's, and the one that the namings have."""


def namings_of(architecture: str) -> list[Naming]:
    """The namings that are known of a network."""
    name = architecture.removesuffix("_bn")
    known = SAME.get(name, name) + architecture[len(name) :]
    return [naming for naming in NAMINGS if naming.architecture == known]
