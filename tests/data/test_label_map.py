"""What the values in mask files mean: which label maps there are, and what they make of levels and colours."""

import numpy as np
import pytest

from convnets.data.label_map import IGNORED, UNKNOWN, LabelMap, override
from convnets.errors import InvalidValue

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)


def test_without_values_a_level_is_its_class_and_255_is_ignored():
    found = LabelMap(("a", "b", "c")).classes_of(np.array([[0, 1], [2, 255], [3, 254]]))
    assert found.tolist() == [[0, 1], [2, IGNORED], [UNKNOWN, UNKNOWN]] and found.dtype == np.int32
    most = LabelMap(tuple(map(str, range(255))))
    assert most.classes_of(np.arange(256)[None])[0, -2:].tolist() == [254, IGNORED]


def test_levels_stand_for_the_classes_in_their_order():
    label_map = LabelMap(("pet", "background"), (2, 1), (3, 0))
    assert label_map.classes_of(np.array([[0, 1, 2, 3, 255]])).tolist() == [[IGNORED, 1, 0, IGNORED, UNKNOWN]]


def test_every_colour_is_looked_up_exactly():
    draws = np.random.default_rng(0)
    colours = [tuple(map(int, colour)) for colour in np.unique(draws.integers(0, 256, (300, 3)), axis=0)]
    draws.shuffle(colours)
    known, ignored, strange = colours[:200], colours[200:203], colours[203:]
    # Neighbours of a colour are not the colour.
    strange += [(*colour[:2], colour[2] ^ 1) for colour in known if (*colour[:2], colour[2] ^ 1) not in colours]
    colours = known + ignored + strange
    label_map = LabelMap(tuple(map(str, known)), tuple(known), tuple(ignored))
    pixels = [colours[i] for i in draws.integers(0, len(colours), 1000)]
    expected = [known.index(p) if p in known else UNKNOWN if p in strange else IGNORED for p in pixels]
    assert label_map.classes_of(np.array(pixels, np.uint8).reshape(20, 50, 3)).ravel().tolist() == expected


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"classes": ()}, "data.mask_classes is the names of the masks' classes"),
        ({"classes": "sky"}, "not 'sky'"),
        ({"classes": ("a", "a")}, "data.mask_classes names 'a' twice"),
        ({"classes": tuple(map(str, range(256)))}, "has 256 names, and masks have at most 255 classes"),
        ({"values": (1,)}, "data.mask_values has 1 values and data.mask_classes 2 classes"),
        ({"values": (1, 1)}, "the value 1 is given twice"),
        ({"values": (1, 255)}, "the value 255 is given twice"),
        ({"values": (1, 256)}, r"levels in \[0, 255\] or colours such as \(128, 64, 0\), and not 256"),
        ({"values": (1, -1)}, "and not -1"),
        ({"values": (1, True)}, "and not True"),
        ({"values": (1, 0.5)}, "and not 0.5"),
        ({"values": (RED, (1, 2))}, r"and not \(1, 2\)"),
        ({"values": (RED, (1, 2, 256))}, r"and not \(1, 2, 256\)"),
        ({"values": (RED, 2)}, "are levels and colours"),
        ({"values": (RED, GREEN), "ignored": (0,)}, "are levels and colours"),
        ({"ignored": (RED,)}, "are levels and colours"),
        ({"ignored": (1,)}, "the value 1 is given twice"),
        ({"values": (RED, GREEN), "ignored": (RED,)}, r"the value \(255, 0, 0\) is given twice"),
    ],
)
def test_inconsistent_label_maps_are_refused(options, sentence):
    with pytest.raises(InvalidValue, match=sentence):
        LabelMap(**{"classes": ("a", "b")} | options)


PETS = LabelMap(("pet", "background"), (1, 2), (3,))


@pytest.mark.parametrize(
    ("label_map", "given", "expected"),
    [
        (None, ((), (), ()), None),
        (PETS, ((), (), ()), PETS),
        (None, (("a", "b"), (), ()), LabelMap(("a", "b"))),
        (None, (("a", "b"), (0, 255), ()), LabelMap(("a", "b"), (0, 255), ())),
        (None, (("a", "b"), (RED, GREEN), (WHITE,)), LabelMap(("a", "b"), (RED, GREEN), (WHITE,))),
        (None, (("a", "b"), (RED, GREEN), ()), LabelMap(("a", "b"), (RED, GREEN))),
        (PETS, (("pet", "background", "border"), (1, 2, 3), ()), LabelMap(("pet", "background", "border"), (1, 2, 3))),
        (PETS, (("a", "b"), (), ()), LabelMap(("a", "b"))),
        (PETS, ((), (), (0, 3)), LabelMap(("pet", "background"), (1, 2), (0, 3))),
        (PETS, ((), (5, 6), ()), LabelMap(("pet", "background"), (5, 6))),
    ],
)
def test_what_a_config_gives_takes_the_place_of_the_data_sets(label_map, given, expected):
    assert override(label_map, *given) == expected


@pytest.mark.parametrize("given", [((), (1, 2), ()), ((), (), (3,))])
def test_values_of_classes_without_names_are_refused(given):
    with pytest.raises(InvalidValue, match=r"give them with data\.mask_classes"):
        override(None, *given)
