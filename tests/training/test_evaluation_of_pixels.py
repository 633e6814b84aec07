"""The views by which pixels can't be scored: refused before training, with the field that is to be changed."""

import pytest

from convnets.data.source import SourceInfo
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import protocols
from convnets.training.config import complete, default_config
from convnets.training.evaluation import views_of_run
from convnets.training.setup import build_model


def views(served, own_sizes=False, **evaluation):
    """Of a network whose last map has a response every 32 pixels, trained on 64 x 64."""
    config = default_config()
    config.data.name = "segmentation_folder"
    config.task.name = "segmentation"
    config.network.name = "resnet18"
    config.normalization.mean = config.normalization.deviation = (0.5, 0.5, 0.5)
    config = complete(config)
    config.network.width = 1 / 16
    config.evaluation.update(evaluation)
    shapes = {"image_shape": (served, served, 3), "training_shape": (64, 64, 3)}
    info = SourceInfo("tiny", (), splits={"train": 2}, mask_classes=("a", "b"), own_sizes=own_sizes, **shapes)
    return views_of_run(config, build_model(config, info))


def test_images_smaller_than_the_last_stride_are_refused_with_the_field_that_serves_them():
    with pytest.raises(
        InvalidValue, match=r"^in evaluation the images have 16 x 16 .* by a larger data\.evaluation_size"
    ):
        views(16)
    assert len(views(32)) == 1
    assert views(16, protocol="whole_image", scales=(2.0,)).maps == ((32, 32, False),)


def test_scales_that_shrink_images_below_the_last_stride_are_refused_with_what_helps():
    shrunk = {"protocol": "whole_and_mirrored", "scales": (0.25, 1.0)}
    with pytest.raises(InvalidValue, match=r"^in evaluation the images have 16 x 16 .* by larger evaluation\.scales$"):
        views(64, **shrunk)
    assert len(views(128, **shrunk)) == 4


def test_pictures_in_their_own_sizes_are_not_taken_for_those_of_training():
    assert len(views(64, own_sizes=True, protocol="whole_image", scales=(0.25,))) == 1


@pytest.mark.parametrize("protocol", sorted(set(protocols) - {"centre_crop", "whole_image", "whole_and_mirrored"}))
def test_protocols_that_average_over_parts_of_images_are_refused(protocol):
    with pytest.raises(InvalidValue, match="answers for pixels: use 'centre_crop' for images as they are served"):
        views(128, protocol=protocol)
