"""Weight initializations.

He et al., "Delving Deep into Rectifiers", ICCV 2015, section 2.2: a layer that ReLU follows keeps the variance of
its responses when its weights have variance 2 / fan_in (the lecture calls it "Xavier/2"). Before a tanh, which is
the identity near zero, 1 / fan_in does (LeCun et al., "Efficient BackProp", 1998, section 4.6).
"""

from flax.linen import initializers

he_normal = initializers.variance_scaling(2.0, "fan_in", "normal")
"""Normal with variance 2 / fan_in, for layers that a ReLU follows."""

lecun_normal = initializers.variance_scaling(1.0, "fan_in", "normal")
"""Normal with variance 1 / fan_in, for layers that a tanh, or nothing, follows."""


def transposed_he_normal(stride: int) -> initializers.Initializer:
    """Normal with variance 2 stride² / (f² C), for transposed convolutions: kernels `[f, f, features, C]`.

    A response of theirs is a sum over f² C / stride² taps; where the stride doesn't divide f, so it is on average.
    """
    return initializers.variance_scaling(2.0 * stride**2, "fan_in", "normal", in_axis=-1, out_axis=-2)


small_normal = initializers.normal(0.01)
"""Normal with deviation 0.01 (AlexNet, section 5), for the last layer: training begins with nearly equal classes."""

ones = initializers.ones_init()
"""For the scale of a batch norm: its responses begin with unit variance."""

zeros = initializers.zeros_init()
"""For a bias; and for the scale of the last batch norm of a residual block, which then begins as the identity."""
