"""What the transforms refuse: options out of their ranges, by name, and examples that they can't take."""

from typing import Any

import jax
import numpy as np
import pytest

from convnets.augment import transforms
from convnets.augment.mixing import MIXTURES
from convnets.augment.motions import rotation, warp_by
from convnets.augment.resize import resize
from convnets.errors import InvalidValue

NAN, INF = float("nan"), float("inf")
IMAGE = np.full((6, 8, 3), 0.5, np.float32)

OPTIONS: dict[str, list[tuple[dict[str, Any], str]]] = {
    "flip": [({"probability": value}, "the probability of a flip must lie in") for value in (-0.1, 1.1)],
    "pad_and_crop": [({"padding": -1}, "the padding before a crop must not be negative, and is -1")],
    "random_crop": [
        ({"size": (7, 8)}, "a crop of 7 x 8 pixels does not fit into an image of 6 x 8"),
        ({"size": 7}, "a crop of 7 x 7 pixels does not fit"),
        *(({"size": value}, "the size of a crop is .* and is ") for value in (-1, "8", True, (3, 4, 5), 2.5)),
        *(({"share": value}, r"the share of a crop must lie in \(0, 1\], and is ") for value in (0.0, 1.5)),
    ],
    "random_resized_crop": [
        ({"area": (0.0, 1.0)}, r"the area of a crop is an interval .* in \(0, 1\], and is \(0.0, 1.0\)"),
        *(({"area": value}, "the area of a crop is an interval") for value in ((0.5, 1.5), (0.9, 0.5))),
        *(({"aspect": value}, "the aspect of a crop is an .* above 0") for value in ((1.0,), (-1.0, 1.0))),
        ({"size": -3}, "the size of a crop is .* and is -3"),
    ],
    "scale_and_crop": [
        ({"scale": (0.9, 2.0)}, "the scale of an image before a crop is an interval .* of at least 1"),
        ({"scale": (1.0, INF)}, "the scale of an image before a crop is an interval"),
    ],
    "colour_jitter": [
        ({option: value}, f"the {option} of colour_jitter.* must .* and is {value}")
        for option, value in (("brightness", -0.1), ("contrast", NAN), ("saturation", INF), ("hue", 0.6), ("hue", -0.1))
    ],
    "pca_colour": [
        ({"deviation": -0.1}, r"the deviation of pca_colour must .* and is -0\.1"),
        (
            {"components": ((1.0, 0.0), (0.0, 1.0))},
            "components of 2 channels for images of 3: leave .* `launch.py",
        ),
        *(
            ({"components": value}, "the components of pca_colour are")
            for value in ((), 0.5, ((1.0, 2.0),), ((NAN,),), (("a",),), (1.0, 2.0, 3.0))
        ),
    ],
    "random_erasing": [
        ({"probability": 1.5}, "the probability of random_erasing"),
        *(
            ({"area": value}, "the area of random_erasing")
            for value in ((0.3, 0.2), (-0.1, 0.2), (0.1, 1.2), 0.2, ("a", "b"))
        ),
        *(({"aspect": value}, "the aspect of random_erasing") for value in ((0.0, 1.0), (1.0, INF), (1.0, 2.0, 3.0))),
        ({"fill": "black"}, "the fill of random_erasing"),
    ],
    "lens_distortion": [
        ({"k1": -0.1}, "the distortion k1 of a lens must be a finite number of 0 or more, and is -0.1"),
        ({"k2": INF}, "the distortion k2 of a lens must be a finite number of 0 or more, and is inf"),
        ({"k1": 0.34}, r"needs 3 k1 \+ 5 k2 below 1, .* and was given k1 = 0.34 and k2 = 0"),
        ({"k1": 0.2, "k2": 0.1}, r"needs 3 k1 \+ 5 k2 below 1"),
        ({"border": "black"}, "the border of a warp is"),
    ],
    "affine": [
        *(({"rotate": value}, r"the rotation in degrees must lie in \[0, 180\]") for value in (-1.0, 181.0, NAN)),
        ({"translate": 1.5}, r"the translation as a share of the side must lie in \[0, 1\]"),
        *(
            ({"scale": value}, r"the scale of an affine motion is an interval \(low, high\) of numbers above 0")
            for value in ((1.1, 0.9), (0.0, 1.0), 1.2)
        ),
        ({"stretch": 0.9}, "the stretch is a factor of at least 1, and is 0.9"),
        ({"shear": 90.0}, r"the shear in degrees must lie in \[0, 90\), and is 90.0"),
        ({"perspective": 0.25}, r"must lie in \[0, 0.25\)"),
        ({"distortion": 0.4}, r"the distortion must lie in \[0, 0.333333\)"),
        ({"border": "wrap"}, "the border of a warp is 'zero' or 'edge' or 'reflect', and was given 'wrap'"),
    ],
    **{
        name: [
            ({option: value}, f"{option} of {name} must .* and is {value}")
            for option, value in (("alpha", 0.0), ("alpha", NAN), ("alpha", INF), ("probability", 1.1))
        ]
        for name in MIXTURES
    },
}


@pytest.mark.parametrize(
    ("name", "options", "sentence"), [(n, *case) for n, cases in OPTIONS.items() for case in cases]
)
def test_options_out_of_range_are_refused_by_name(name, options, sentence):
    labelled = {"image": IMAGE, "label": np.int32(4)}
    with pytest.raises(InvalidValue, match=sentence) as refused:
        transforms[name](jax.random.key(0), labelled | {"partner": labelled}, **options)
    assert "\n" not in str(refused.value)


def test_images_of_integers_and_results_without_pixels_are_refused():
    integers = {"image": np.zeros((3, 3, 1), np.uint8)}
    for change in (lambda example: resize(example, 2, 2), lambda example: warp_by(example, rotation(1))):
        with pytest.raises(InvalidValue, match=r"takes images of floats in \[0, 1\], and was given uint8"):
            change(integers)
    with pytest.raises(InvalidValue, match="at least 1 x 1 pixels, and not to 0 x 5"):
        resize({"image": IMAGE}, 0, 5)


@pytest.mark.parametrize("name", MIXTURES)
def test_mixtures_refuse_labels_of_parts_and_examples_without_a_label_or_a_partner(name):
    key, labelled = jax.random.key(0), {"image": IMAGE, "label": np.int32(4)}
    for field in ("mask", "boxes"):
        with pytest.raises(InvalidValue, match=f"{name} mixes the labels of whole images, and these have {field}"):
            transforms[name](key, labelled | {"partner": labelled, field: np.zeros((6, 8))})
    with pytest.raises(InvalidValue, match=f"{name} mixes labels, and these images have none"):
        transforms[name](key, {"image": IMAGE, "partner": labelled})
    with pytest.raises(ValueError, match=f"{name} needs another example as `partner`"):
        transforms[name](key, labelled)
