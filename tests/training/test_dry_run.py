"""What is refused before the first step is compiled."""

import numpy as np
import pytest

from convnets.data.picture_options import PictureOptions
from convnets.data.pictures import Pictures
from convnets.data.records import Record
from convnets.errors import InvalidValue
from convnets.training.config import complete, default_config
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, dry_run
from tests.data.examples import FewRecords, noise


def dry_run_of(fields, source=None, **serving):
    config = default_config()
    config.data.name = "image_folder"
    config.normalization.mean = config.normalization.std = (0.5, 0.5, 0.5)
    config.validation.examples = 0
    config.train.duration = "5 steps"
    config.update_from_flattened_dict(fields)
    config = complete(config)
    if source is None:
        records = [Record(noise(50, 60, seed=i), f"picture {i}", i % 2) for i in range(4)]
        source = Pictures(FewRecords(records), PictureOptions(size=32, evaluation_size=32, **serving))
    model = build_model(config, source.info)
    dry_run(config, model, source, make_plan(config, model, len(source)))


RESNET = {"network.name": "resnet20", "data.size": 32}
GROWING = {"train.resolutions": (("0 steps", 16), ("1 steps", 24), ("2 steps", 32))}


def test_a_run_that_fits_is_not_refused():
    dry_run_of(RESNET)
    dry_run_of(RESNET | GROWING)
    dry_run_of(RESNET | GROWING, channels=3, crop="random_shape")


def test_parameters_that_do_not_fit_growing_images_are_refused():
    fields = {"network.name": "alexnet", "network.stem": "small", "network.width": 0.05, "data.size": 32}
    with pytest.raises(InvalidValue, match=r"train\.resolutions is for networks whose parameters fit any size"):
        dry_run_of(fields | {"train.resolutions": (("0 steps", 16), ("1 epochs", 32))})


def test_auxiliary_maps_of_several_windows_are_refused():
    fields = {"network.name": "googlenet", "network.width": 0.05, "network.image_size": 224, "data.size": 320}
    records = [Record(noise(50, 60), "picture", 0)]
    source = Pictures(FewRecords(records), PictureOptions(size=320, evaluation_size=224))
    with pytest.raises(InvalidValue, match="map of logits"):
        dry_run_of(fields, source)


def test_mixing_examples_that_have_boxes_is_refused():
    boxes = np.array([[0, 0, 9, 9]], np.float32)
    records = [Record(noise(50, 60), "picture", 0, boxes, np.zeros(1, np.int32))]
    source = Pictures(FewRecords(records, fields=("label", "boxes")), PictureOptions(size=32, evaluation_size=32))
    with pytest.raises(InvalidValue, match="boxes"):
        dry_run_of(RESNET | {"augmentation": (("mixup", {}),)}, source)
