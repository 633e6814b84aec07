"""Mean and deviation from what repositories of timm and transformers say."""

import json

import pytest

from convnets.pretrained.files.hub import normalization_of

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = ((0.5,) * 3, (0.5,) * 3)
TIMM = {"pretrained_cfg": {"mean": MEAN, "std": DEVIATION}}
TRANSFORMERS = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True}


def found(tmp_path, config=None, preprocessor=None):
    for name, content in (("config.json", config), ("preprocessor_config.json", preprocessor)):
        if content is not None:
            (tmp_path / name).write_text(content if isinstance(content, str) else json.dumps(content))
    return normalization_of(lambda name: tmp_path / name if (tmp_path / name).exists() else None)


@pytest.mark.parametrize(
    ("config", "preprocessor", "expected"),
    [
        (TIMM, None, (MEAN, DEVIATION)),
        (TIMM, TRANSFORMERS, (MEAN, DEVIATION)),
        (None, TRANSFORMERS, HALF),
        ({"architectures": ["ResNet"]}, TRANSFORMERS, HALF),
        (None, TRANSFORMERS | {"rescale_factor": 1 / 255}, HALF),
        (None, TRANSFORMERS | {"do_normalize": False}, None),
        ({"pretrained_cfg": {"mean": [0.5], "std": [0.25]}}, None, ((0.5,), (0.25,))),
        (None, None, None),
        ("{", None, None),
        ("[]", "\xff", None),
        ({"pretrained_cfg": 3}, {}, None),
        ({"pretrained_cfg": {"mean": MEAN, "std": [1, 1]}}, None, None),
        ({"pretrained_cfg": {"mean": MEAN, "std": [1, 1, 0]}}, None, None),
        ({"pretrained_cfg": {"mean": [], "std": []}}, None, None),
        ({"pretrained_cfg": {"mean": ["a"], "std": [1]}}, None, None),
        ('{"pretrained_cfg": {"mean": [NaN], "std": [1]}}', None, None),
    ],
)
def test_the_normalization_is_that_of_timm_or_else_of_transformers_or_none(tmp_path, config, preprocessor, expected):
    assert found(tmp_path, config, preprocessor) == expected


def test_pixels_that_are_not_scaled_to_1_first_are_accounted_for(tmp_path):
    """Caffe's: the pixels to 255, less the means; and pixels scaled to [0, 2]."""
    means = [123.675, 116.28, 103.53]
    as_they_are = TRANSFORMERS | {"do_rescale": False, "image_mean": means, "image_std": [1, 1, 1]}
    mean, deviation = found(tmp_path, None, as_they_are)
    assert mean == pytest.approx(MEAN) and deviation == pytest.approx([1 / 255] * 3)
    twice = TRANSFORMERS | {"rescale_factor": 2 / 255, "image_mean": [1] * 3, "image_std": [1] * 3}
    assert found(tmp_path, None, twice) == (pytest.approx([0.5] * 3), pytest.approx([0.5] * 3))
