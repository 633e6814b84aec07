"""The views by which pixels can't be scored: refused before training, with the field that is to be changed."""

import numpy as np
import pytest
from convnets.training.evaluation import check_smallest, views_of_run

from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import Pictures
from convnets.data.records import Record
from convnets.data.source import SourceInfo
from convnets.data.views import Subset
from convnets.errors import InvalidValue
from convnets.evaluation.protocols import protocols
from convnets.training.config import complete, default_config
from convnets.training.setup import build_model
from tests.data.few_records import FewRecords
from tests.data.photograph import noise


def model_of(served, variable_size=False, **evaluation):
    """The config and the model of a network whose last map has a response every 32 pixels, trained on 64 x 64."""
    config = default_config()
    config.data.name = "segmentation_folder"
    config.task.name = "segmentation"
    config.network.name = "resnet18"
    config.normalization.mean = config.normalization.std = (0.5, 0.5, 0.5)
    config = complete(config)
    config.network.width = 1 / 16
    config.evaluation.update(evaluation)
    shapes = {"image_shape": (served, served, 3), "training_shape": (64, 64, 3)}
    info = SourceInfo("tiny", (), splits={"train": 2}, mask_classes=("a", "b"), variable_size=variable_size, **shapes)
    return config, build_model(config, info)


def views(served, variable_size=False, **evaluation):
    return views_of_run(*model_of(served, variable_size, **evaluation))


def of_sizes(*sizes):
    """A split of pictures of these heights and widths, each evaluated in its own; the first is left out of it."""
    records = [
        Record(noise(*size), f"photo {i}", mask=np.zeros(size, np.uint8)) for i, size in enumerate([(9, 9), *sizes])
    ]
    served = Pictures(FewRecords(records, fields=("mask",)), PictureOptions(size=64, evaluation_size=0))
    return Subset(served, np.arange(1, len(records)))


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
    assert len(views(64, variable_size=True, protocol="whole_image", scales=(0.25,))) == 1


def test_a_picture_of_its_own_size_that_is_smaller_than_the_stride_is_refused_by_name():
    run = model_of(64, variable_size=True)
    check_smallest(*run, of_sizes((40, 32), (64, 64)))
    with pytest.raises(InvalidValue, match=r"^photo 2 is too small .* own size: the images have 20 x 40 pixels"):
        check_smallest(*run, of_sizes((40, 32), (20, 40)))
    check_smallest(*model_of(64, variable_size=True, protocol="whole_image", scales=(2.0,)), of_sizes((20, 40)))
    half = model_of(64, variable_size=True, protocol="whole_image", scales=(0.5, 1.0))
    with pytest.raises(
        InvalidValue, match=r"^photo 1 .* smallest of evaluation\.scales \(40 x 50 in its file\): .* 20 x"
    ):
        check_smallest(*half, of_sizes((40, 50)))


def test_splits_whose_images_have_one_size_are_left_to_the_views():
    check_smallest(*model_of(64), None)
    source = of_sizes((20, 40))
    check_smallest(*model_of(64), Pictures(source.source.records, PictureOptions(size=64, evaluation_size=64)))


@pytest.mark.parametrize("protocol", sorted(set(protocols) - {"centre_crop", "whole_image", "whole_and_mirrored"}))
def test_protocols_that_average_over_parts_of_images_are_refused(protocol):
    with pytest.raises(InvalidValue, match="answers for pixels: use 'centre_crop' for images as they are served"):
        views(128, protocol=protocol)
