"""VOC's own photographs and masks, as Debian's package labelme-examples has them.

`CONVNETS_LABELME_EXAMPLES` names the folder `.../usr/share/doc/labelme-examples/examples` of the unpacked package.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from convnets import data

EXAMPLES = os.environ.get("CONVNETS_LABELME_EXAMPLES", "")
NAMES = ["2011_000003", "2011_000006", "2011_000025"]

pytestmark = pytest.mark.skipif(not EXAMPLES, reason="CONVNETS_LABELME_EXAMPLES names no folder")


def opened(kind, **options):
    folder = str(Path(EXAMPLES, kind, "data_dataset_voc"))
    options = {"train": "all", "test": "all", "size": 64, "evaluation_size": 0} | options
    return data.create("voc", "train", data_dir=folder, **options)


def stored(name, kind="semantic_segmentation"):
    """The places of the palette, and the colours that it has for them."""
    with Image.open(Path(EXAMPLES, kind, "data_dataset_voc", "SegmentationClassPNG", f"{name}.png")) as image:
        return np.asarray(image), np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("kind", ["semantic_segmentation", "instance_segmentation"])
def test_masks_are_what_pillow_and_numpy_read(kind):
    source = opened(kind)
    batch = source.batch(np.arange(3))
    assert (
        source.info.mask_classes[:3] == ("background", "aeroplane", "bicycle") and len(source.info.mask_classes) == 21
    )
    for i, name in enumerate(NAMES):
        height, width = batch["extent"][i]
        levels, _ = stored(name, kind)
        assert (height, width) == levels.shape
        mask = batch["mask"][i, :height, :width]
        np.testing.assert_array_equal(mask, levels)
        arrays = Path(EXAMPLES, kind, "data_dataset_voc", "SegmentationClass", f"{name}.npy")
        np.testing.assert_array_equal(mask, np.load(arrays) % 256)
        padding = batch["mask"][i].size - height * width
        assert (batch["mask"][i] == 255).sum() == (levels == 255).sum() + padding
    # Counted once with Pillow alone.
    counts = {"semantic_segmentation": [9460, 909, 0]}.get(kind)
    if counts:
        assert [(stored(name)[0] == 255).sum() for name in NAMES] == counts


def test_photographs_are_as_pillow_decodes_them():
    source = opened("semantic_segmentation")
    assert source.buckets.tolist() == [list(stored(name)[0].shape) for name in NAMES]
    for i, name in enumerate(NAMES):
        example = source[i]
        path = Path(EXAMPLES, "semantic_segmentation", "data_dataset_voc", "JPEGImages", f"{name}.jpg")
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        height, width = example["extent"]
        np.testing.assert_array_equal(example["image"][:height, :width], pixels)


def voc_colours():
    """VOC's palette, by the kit's VOClabelcolormap: bit b of a place goes to bit 7 - b // 3 of channel b % 3."""
    return [
        tuple(sum((place >> (3 * bit + channel) & 1) << (7 - bit) for bit in range(3)) for channel in range(3))
        for place in range(256)
    ]


def test_the_palette_read_as_a_colour_map_gives_the_same_masks():
    colours = voc_colours()
    for name in NAMES:
        levels, rgb = stored(name)
        np.testing.assert_array_equal(np.array(colours)[levels], rgb)
    by_places, by_colours = (
        opened("semantic_segmentation", **options).batch(np.arange(3))
        for options in ({}, {"mask_values": tuple(colours[:21]), "mask_ignored": (colours[255],)})
    )
    np.testing.assert_array_equal(by_colours["mask"], by_places["mask"])


def test_boxes_are_those_that_were_drawn():
    source = opened("bbox_detection", first_pixel=0)
    assert "mask" not in source[0] and source.info.classes[14] == "person"
    example = source[0]
    drawn = [[107.36900369003689, 191, 329.36900369003695, 313], [83, 365, 333, 500]]
    np.testing.assert_allclose(example["boxes"][:2], np.array(drawn), rtol=1e-6)
    assert example["box_labels"].tolist() == [14, 14] + [-1] * 14
    assert [(labels >= 0).sum() for labels in source.batch(np.arange(3))["box_labels"]] == [2, 4, 3]


def test_training_takes_parts_of_them():
    batch = opened("semantic_segmentation").training_batch(np.arange(3), np.zeros(3, int), 0)
    assert batch["image"].shape == (3, 64, 64, 3) and batch["mask"].shape == (3, 64, 64)
    for i, name in enumerate(NAMES):
        assert set(np.unique(batch["mask"][i])) <= set(np.unique(stored(name)[0]))
