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
