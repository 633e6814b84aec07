"""The names of the Caffe models that the authors of VGG and ResNet-50 published, and Keras's of VGG's layers.

All see the channels blue, green, red on the scale to 255, less ImageNet's mean. The means are rounded as VGG's authors
give them; those of ResNet published a mean image.
"""

from convnets.data.normalization import Normalization
from convnets.pretrained.naming.rules import Naming, Rule

LESS_MEANS = Normalization((123.68 / 255, 116.779 / 255, 103.939 / 255), (1 / 255, 1 / 255, 1 / 255))
"""Red, green, blue."""

VGG = (
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


def _norm(here: str, there: str) -> tuple[Rule, ...]:
    """Caffe keeps the statistics of a batch norm in one layer and its scale and bias in the next."""
    layers = {"mean": "bn", "variance": "bn", "scale": "scale", "bias": "scale"}
    return tuple(Rule(f"{here}/norm/{array}", f"{layer}{there}/{array}") for array, layer in layers.items())


RESNET = (
    Rule("conv1/convolution", "conv1"),
    *_norm("conv1", "_conv1"),
    Rule("stage{s}_block{b}/conv{c}/convolution", "res{s+1}{b:a}_branch2{c:a}"),
    *_norm("stage{s}_block{b}/conv{c}", "{s+1}{b:a}_branch2{c:a}"),
    Rule("stage{s}_block{b}/projection/convolution", "res{s+1}{b:a}_branch1"),
    *_norm("stage{s}_block{b}/projection", "{s+1}{b:a}_branch1"),
    Rule("logits", "fc1000"),
)

CAFFE = (
    *(
        Naming("Caffe", name, VGG, LESS_MEANS, matrices=("fc6", "fc7", "logits"), bgr=True)
        for name in ("vgg16", "vgg19")
    ),
    Naming(
        "Caffe",
        "resnet50",
        RESNET,
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
