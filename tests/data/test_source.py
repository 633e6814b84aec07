"""Sources: examples, batches, views and the split of a training source."""

from typing import Any

import numpy as np
import pytest

from convnets.data.source import ArraySource, Source, SourceInfo
from convnets.data.views import Subset


def make_source(length: int = 10) -> ArraySource:
    """Image `i` is all `i`, label `i` is `100 + i`."""
    images = np.broadcast_to(np.arange(length, dtype=np.uint8)[:, None, None, None], (length, 4, 3, 1)).copy()
    info = SourceInfo("numbers", ("even", "odd"), (4, 3, 1), {"train": length})
    return ArraySource({"image": images, "label": np.arange(100, 100 + length, dtype=np.int32)}, info)


class WithoutBatch(Source):
    """A source that only gives single examples, as `tfds.data_source` does."""

    info = SourceInfo("list", (), (1, 1, 1), {})

    def __init__(self, examples: list[dict[str, Any]]):
        self.examples = examples

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int, /) -> dict[str, Any]:
        return self.examples[i]


def one_sentence(error: pytest.ExceptionInfo[Exception]) -> bool:
    text = str(error.value)
    return bool(text) and "\n" not in text and ". " not in text


def test_an_example_is_its_row_and_its_place():
    example = make_source()[7]
    assert set(example) == {"image", "label", "index"}
    np.testing.assert_array_equal(example["image"], np.full((4, 3, 1), 7))
    assert [example[name].dtype for name in ("image", "label", "index")] == [np.uint8, np.int32, np.int32]
    assert (example["label"], example["index"]) == (107, 7)


def test_a_batch_gathers_in_the_order_asked_for_and_with_repeats():
    batch = make_source().batch(np.array([3, 0, 3]))
    np.testing.assert_array_equal(batch["image"][:, 0, 0, 0], [3, 0, 3])
    np.testing.assert_array_equal(batch["label"], [103, 100, 103])
    np.testing.assert_array_equal(batch["index"], [3, 0, 3])
    assert batch["image"].shape == (3, 4, 3, 1) and batch["index"].dtype == np.int32


def test_writing_into_an_example_or_batch_leaves_the_source_alone():
    source = make_source()
    source[2]["image"][:] = 99
    source.batch(np.array([2]))["image"][:] = 99
    assert source[2]["image"].max() == 2


@pytest.mark.parametrize("index", [-1, 10, 1000])
def test_a_place_outside_the_source_is_refused(index):
    for read in (lambda s: s[index], lambda s: s.batch(np.array([0, index])), lambda s: Subset(s, [index])):
        with pytest.raises(IndexError, match=f"index {index} is outside the 10 examples") as error:
            read(make_source())
        assert one_sentence(error)


def test_a_place_outside_a_view_is_refused_even_if_the_parent_has_it():
    view = Subset(make_source(), [1, 2])
    for read in (lambda: view[2], lambda: view[-1], lambda: view.batch(np.array([5]))):
        with pytest.raises(IndexError, match="outside the 2 examples"):
            read()


@pytest.mark.parametrize("indices", [np.array([[1]]), np.array([0.5]), np.array([True, False]), np.int64(3)])
def test_indices_are_one_axis_of_integers(indices):
    with pytest.raises(ValueError, match="one axis of integers"):
        make_source().batch(indices)


def test_iterating_ends_at_the_end():
    assert [int(example["index"]) for example in make_source(4)] == [0, 1, 2, 3]
    assert [int(example["index"]) for example in Subset(make_source(), [5, 1])] == [5, 1]


def test_load_batch_is_the_same_with_and_without_a_fast_path():
    source = make_source()
    fast = source.batch([4, 8, 1])
    slow = WithoutBatch([source[i] for i in range(10)]).batch([4, 8, 1])
    assert set(fast) == set(slow)
    for name in fast:
        np.testing.assert_array_equal(fast[name], slow[name])
        assert fast[name].dtype == slow[name].dtype


def test_load_batch_names_what_cannot_be_stacked():
    a, b = np.zeros((1, 1, 1)), np.zeros((2, 1, 1))
    odd = {"image": a, "label": 1}
    for second, said in (({"image": b}, "in the shapes"), ({}, "1 of 2"), (odd, "'label'")):
        with pytest.raises(ValueError, match=said) as error:
            WithoutBatch([{"image": a}, second]).batch([0, 1])
        assert one_sentence(error)
    with pytest.raises(ValueError, match="at least one index"):
        WithoutBatch([{"image": a}]).batch([])


def test_arrays_that_do_not_fit_together_are_refused():
    image, info = np.zeros((3, 4, 3, 1), np.uint8), SourceInfo("x", (), (4, 3, 1), {})
    for arrays, said in (
        ({"label": np.zeros(3)}, "must have 'image'"),
        ({"image": image, "index": np.zeros(3)}, "may not have 'index'"),
        ({"image": image[:, :2]}, r"\(3, 2, 3, 1\)"),
        ({"image": image, "label": np.zeros(2)}, "'label': 2"),
    ):
        with pytest.raises(ValueError, match=said):
            ArraySource(arrays, info)
