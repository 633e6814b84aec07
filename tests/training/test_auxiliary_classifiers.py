"""What is said of GoogLeNet's auxiliary classifiers: options that do nothing, and maps that are no answer."""

import numpy as np
import pytest
from ml_collections import ConfigDict
from stripes import CLASSES, config_of, striped

from convnets.data.source import ArraySource, Source, SourceInfo
from convnets.errors import InvalidValue
from convnets.training.plan import make_plan
from convnets.training.setup import build_model, dry_run

SMALL = {"network.stem": "small"}


def rehearse_on(config: ConfigDict, source: Source) -> None:
    model = build_model(config, source.info)
    dry_run(config, model, source, make_plan(config, model, len(source)))


@pytest.mark.parametrize("network", ["googlenet", "googlenet_bn"])
def test_a_dropout_within_auxiliary_classifiers_that_there_are_not_is_refused(network):
    fields = SMALL | {"network.auxiliary": False, "network.auxiliary_dropout": 0.5}
    with pytest.raises(InvalidValue, match=r"auxiliary_dropout is 0\.5, and without auxiliary .* leave it at 0\.7, or"):
        build_model(config_of(fields, network=network), striped(2).info)
    build_model(config_of(SMALL | {"network.auxiliary": False}, network=network), striped(2).info)
    build_model(config_of(SMALL | {"network.auxiliary_dropout": 0.5}, network=network), striped(2).info)


@pytest.mark.parametrize(
    ("network", "fields"),
    [("lenet5", {}), ("resnet20", {}), ("googlenet", SMALL | {"network.auxiliary": False})],
)
def test_a_weight_of_auxiliary_losses_that_there_are_not_is_refused(network, fields):
    fields = fields | {"task.auxiliary_weight": 0.5}
    with pytest.raises(
        InvalidValue, match=rf"weight is 0\.5, and the network '{network}' has no .* the weight at 0\.3"
    ):
        build_model(config_of(fields, network=network), striped(2).info)
    build_model(config_of(fields | {"task.auxiliary_weight": 0.3}, network=network), striped(2).info)


@pytest.mark.parametrize("network", ["googlenet", "googlenet_bn"])
def test_a_network_with_auxiliary_classifiers_takes_any_weight(network):
    build_model(config_of(SMALL | {"task.auxiliary_weight": 0.5}, network=network), striped(2).info)


def test_auxiliary_maps_larger_than_one_window_are_refused_before_training():
    """At 44 pixels the last map is still one window of a network for 40, but the maps in the middle are two wide."""
    images = np.zeros((4, 44, 44, 1), np.uint8)
    info = SourceInfo("larger", CLASSES, (44, 44, 1), {"train": 4, "test": 4})
    source = ArraySource({"image": images, "label": np.arange(4, dtype=np.int32)}, info)
    config = config_of(SMALL | {"network.image_size": 40}, network="googlenet")
    with pytest.raises(InvalidValue, match=r"a 2 x 2 map of logits instead of one label: set network\.image_size"):
        rehearse_on(config, source)
    without = config_of(SMALL | {"network.image_size": 40, "network.auxiliary": False}, network="googlenet")
    rehearse_on(without, source)
