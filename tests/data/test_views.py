"""Views of a source: some classes of a data set, and few examples of each."""

import numpy as np
import pytest

from convnets.data.source import ArraySource, SourceInfo, load_training_batch
from convnets.data.views import class_subset, train_validation_split
from convnets.errors import InvalidValue

CLASSES = ("coat", "bag", "shoe")


def source(count: int = 30) -> ArraySource:
    """Labels 0, 1, 2 in turn; each image says its place."""
    images = np.tile(np.arange(count, dtype=np.uint8)[:, None, None, None], (1, 2, 2, 1))
    info = SourceInfo("garments", CLASSES, (2, 2, 1), {"train": count})
    return ArraySource({"image": images, "label": (np.arange(count) % 3).astype(np.int32)}, info)


def test_the_classes_are_numbered_anew_in_the_order_given_and_the_examples_are_theirs():
    view = class_subset(source(), "train", ("shoe", "coat"))
    assert view.info.classes == ("shoe", "coat") and len(view) == 20
    batch = view.batch(np.arange(20))
    old = batch["image"][:, 0, 0, 0] % 3
    np.testing.assert_array_equal(batch["label"], np.where(old == 2, 0, 1))
    trained = load_training_batch(view, np.arange(20), np.zeros(20, np.int64), 0)
    np.testing.assert_array_equal(trained["label"], batch["label"])
    assert view[3]["label"] == batch["label"][3]


def test_so_many_of_each_class_are_drawn_by_the_seed_alone():
    one, again, other = (class_subset(source(), "train", (), 4, seed) for seed in (0, 0, 1))
    places = [view.batch(np.arange(12))["index"] for view in (one, again, other)]
    np.testing.assert_array_equal(places[0], places[1])
    assert set(places[0]) != set(places[2])
    assert np.bincount(places[0] % 3).tolist() == [4, 4, 4]


def test_fewer_of_a_class_are_among_more_of_it():
    fewer, more = (class_subset(source(), "train", (), count).batch(np.arange(3 * count))["index"] for count in (2, 5))
    assert set(fewer) < set(more)


def test_another_choice_is_another_digest_so_that_a_resumed_run_notices():
    digests = {
        class_subset(source(), "train", classes, count).info.digest
        for classes in ((), ("bag", "shoe"))
        for count in (2, 3)
    }
    assert len(digests) == 4 and "" not in digests


def test_the_size_of_the_split_is_that_of_the_view_since_epochs_are_counted_by_it():
    assert class_subset(source(), "train", (), 4).info.splits == {"train": 12}


def test_nothing_asked_for_is_the_source_itself():
    whole = source()
    assert class_subset(whole, "train", (), 0) is whole


def test_a_validation_part_of_the_view_has_its_labels():
    training, validation = train_validation_split(class_subset(source(), "train", ("bag", "shoe")), 5, 0)
    assert len(training) == 15
    assert set(validation.batch(np.arange(5))["label"]) <= {0, 1}


@pytest.mark.parametrize(
    ("classes", "count", "sentence"),
    [
        (("boot",), 0, "subset.classes has 'boot', and 'garments' has no such class: "),
        (("bag", "bag"), 0, "must name no class twice"),
        ((), 11, "subset asks for 11 examples of 'coat', and 'garments' has 10"),
    ],
)
def test_what_there_is_not_is_refused(classes, count, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        class_subset(source(), "train", classes, count)


def test_examples_without_labels_are_refused():
    info = SourceInfo("plain", (), (2, 2, 1), {"train": 3})
    with pytest.raises(InvalidValue, match="subset is for examples with one label each"):
        class_subset(ArraySource({"image": np.zeros((3, 2, 2, 1), np.uint8)}, info), "train", per_class=1)
