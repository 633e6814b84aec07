"""Images and masks in two folders: how they find each other, and what is refused before anything is decoded."""

import numpy as np
import pytest

from convnets import data
from convnets.data.source import DataNotFound
from convnets.errors import InvalidValue
from tests.data.examples import noise, write

pytestmark = pytest.mark.usefixtures("user_cache")

SIZES = {"b/two.jpg": (30, 40), "one.png": (32, 32), "a.b.png": (20, 50)}


def stem(path):
    return path.rsplit(".", 1)[0]


def mask(name):
    return (noise(*SIZES[name], 1, seed=len(name))[..., 0] % 3).astype(np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Three images a split, with masks of the levels 0 to 2."""
    top = tmp_path / "streets"
    for split in ("train", "val"):
        for name, size in SIZES.items():
            write(top / split / "images" / name, noise(*size))
            write(top / split / "masks" / f"{stem(name)}.png", mask(name))
    (top / "class_names.txt").write_text("_background_\nroad\n car \n\n")
    return top


def opened(folder, split="train", **options):
    options = {"size": 16, "evaluation_size": 0} | options
    return data.create("segmentation_folder", split, data_dir=str(folder), **options)


def test_images_and_masks_of_the_same_name_belong_together(folder):
    source = opened(folder)
    assert source.info.mask_classes == ("background", "road", "car")
    assert source.info.splits == {"train": 3, "test": 3} and source.info.classes == ()
    assert [source.records[i].name.removeprefix(f"{folder}/train/images/") for i in range(3)] == [
        "a.b.png",
        "b/two.jpg",
        "one.png",
    ]
    for i, name in enumerate(["a.b.png", "b/two.jpg", "one.png"]):
        height, width = SIZES[name]
        np.testing.assert_array_equal(source[i]["mask"][:height, :width], mask(name))


def test_other_layouts_are_spelled_by_the_options(folder):
    for split in ("train", "val"):
        for what, name in (("images", "images"), ("masks", "annotations")):
            (folder / name).mkdir(exist_ok=True)
            (folder / split / what).rename(folder / name / f"{split}ing")
    options = {"images": "images/{split}", "masks": "annotations/{split}", "train": "training", "test": "valing"}
    assert len(opened(folder, **options)) == len(opened(folder, "test", **options)) == 3
    with pytest.raises(DataNotFound, match=r"train/images is not there: name the folders with data\.images"):
        opened(folder)


def test_the_classes_of_a_config_go_before_those_of_the_file(folder):
    names = ("road", "car")
    source = opened(folder, mask_classes=names, mask_values=(1, 2), mask_ignored=(0,))
    assert source.info.mask_classes == names
    found, height, width = source[2]["mask"], *SIZES["one.png"]
    expected = np.array([255, 0, 1])[mask("one.png")]
    np.testing.assert_array_equal(found[:height, :width], expected)
    (folder / "class_names.txt").unlink()
    assert opened(folder, mask_classes=("a", "b", "c")).info.mask_classes == ("a", "b", "c")


def test_other_meanings_of_the_masks_are_other_data(folder):
    digests = {opened(folder, mask_ignored=ignored).info.digest for ignored in ((), (7,))}
    (folder / "class_names.txt").write_text("background\nstreet\ncar\n")
    assert len(digests | {opened(folder).info.digest}) == 3


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "train/masks/one.png",
            r"/train/images has 1 image without its mask, of the same name in .*/train/masks \('one.png'\)",
        ),
        (
            "val/images/b/two.jpg",
            r"/val/masks has 1 mask without its image, of the same name in .*/val/images \('b/two.png'\)",
        ),
    ],
)
def test_what_stands_alone_is_refused_by_name_whichever_split_is_opened(folder, name, sentence):
    (folder / name).unlink()
    for split in ("train", "test"):
        with pytest.raises(InvalidValue, match=sentence):
            opened(folder, split)


@pytest.mark.parametrize(
    ("name", "other", "sentence"),
    [
        ("masks/one.png", "one.npy", r"^the mask .*/masks/one\.npy has the suffix '\.npy', .*: save its levels, whole"),
        (
            "masks/b/two.png",
            "two.TIF",
            r"^the mask .*/masks/b/two\.TIF has the suffix '\.TIF', and images and masks have",
        ),
        ("images/a.b.png", "a.b.tiff", r"^the image .*/images/a\.b\.tiff has the suffix .*: save it as a PNG$"),
    ],
)
def test_a_file_of_another_kind_is_named_with_its_suffix(folder, name, other, sentence):
    file = folder / "val" / name
    file.rename(file.with_name(other))
    with pytest.raises(InvalidValue, match=sentence):
        opened(folder)


def test_two_images_of_one_name_are_refused(folder):
    write(folder / "train/images/one.bmp", noise(3, 3))
    with pytest.raises(InvalidValue, match=r"has both one\.bmp and one\.png"):
        opened(folder)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"images": "images"}, r"data\.images is 'images', and must have \{split\} in it"),
        ({"masks": "masks"}, r"data\.masks is 'masks', and must have \{split\} in it"),
        ({"test": "trial"}, "trial/images is not there"),
    ],
)
def test_folders_that_can_not_be_are_refused(folder, options, sentence):
    with pytest.raises(InvalidValue if "masks" in options or "images" in options else DataNotFound, match=sentence):
        opened(folder, **options)


def test_empty_folders_and_files_are_refused(folder):
    (folder / "class_names.txt").write_text("\n")
    with pytest.raises(InvalidValue, match=r"class_names\.txt is empty"):
        opened(folder)
    (folder / "class_names.txt").write_text("a\na")
    with pytest.raises(InvalidValue, match=r"class_names\.txt names 'a' twice"):
        opened(folder)
    (folder / "class_names.txt").unlink()
    (folder / "empty" / "images").mkdir(parents=True)
    with pytest.raises(InvalidValue, match=r"has no class_names\.txt, .* give them with data\.mask_classes"):
        opened(folder)
    with pytest.raises(DataNotFound, match="empty/images has no images in it"):
        opened(folder, test="empty", mask_classes=("a",))
    with pytest.raises(InvalidValue, match="segmentation_folder has the splits train and test, not 'val'"):
        opened(folder, "val")


def test_a_mask_with_an_unknown_level_is_passed_over_up_to_the_limit(folder):
    write(folder / "train/masks/one.png", np.full((32, 32), 9, np.uint8))
    sentence = (
        r"one\.png has the level 9 in row 0, column 0 \(from 0\), and its label map has 0, 1, 2 for the classes or 255 "
        r"for what is ignored, and none is to be passed over: set data\.mask_classes with data\.mask_values, or "
        r"data\.mask_ignored, or else replace it, remove it, or raise data\.unreadable above 0$"
    )
    with pytest.raises(InvalidValue, match=sentence):
        opened(folder).batch(np.arange(3))
    assert opened(folder, unreadable=1).batch(np.arange(3))["weight"].tolist() == [1, 1, 0]


def test_options_for_masks_are_refused_where_there_are_none(folder):
    with pytest.raises(InvalidValue, match=r"data\.mask_values is for masks, and 'streets' has none"):
        data.create("image_folder", "train", data_dir=str(folder), test="train", mask_values=(1,))
