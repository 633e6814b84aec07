"""Images in one folder and their masks in another, under the same names."""

import os
from pathlib import Path, PurePath

from convnets.data.decoding import SUFFIXES
from convnets.data.folder_scan import Paths, data_folder, images_below
from convnets.data.label_map import CLASS_NAMES, name_some, read_class_names
from convnets.data.records import FileRecords, LabelledFiles
from convnets.data.source import SPLITS, DataNotFound
from convnets.errors import InvalidValue

SPLIT = "{split}"


def segmentation_folder(
    split: str,
    *,
    data_dir: str = "",
    train: str = "train",
    test: str = "val",
    images: str = "{split}/images",
    masks: str = "{split}/masks",
    mask_classes: tuple[str, ...] = (),
) -> FileRecords:
    """A split of images with masks; both splits are listed, and no picture is opened.

    An image and its mask have the same path below the two folders but for the suffix. The images are sorted by their
    paths. The classes of the masks are those of `class_names.txt` in `data_dir`, one a line: level i is the class of
    line i, counted from 0, and 255 is ignored.

    Args:
      split: "train" or "test".
      data_dir: the folder that has all.
      train, test: what stands for `{split}` in the paths of the training and of the test split.
      images, masks: the folders, relative to `data_dir`. ADE20K has "images/{split}" and "annotations/{split}".
      mask_classes: if they are given, the file is not needed.

    Raises:
      DataNotFound: a folder is not there or has no images.
      InvalidValue: folders that are the same for both, no names of classes, an image without a mask or
        the reverse, a mask or an image in a file of another kind, two of one name, or a folder that can't be listed.
    """
    for option, template in (("images", images), ("masks", masks)):
        if SPLIT not in template:
            raise InvalidValue(
                f"data.{option} is {template!r}, and must have {SPLIT} in it, such as '{SPLIT}/{option}'"
            )
    folder = data_folder(data_dir)
    classes = read_class_names(folder)
    if not classes and not mask_classes:
        raise InvalidValue(
            f"{folder} has no {CLASS_NAMES}, so the classes of its masks have no names: give them with "
            "data.mask_classes, or one a line in that file"
        )
    files = {
        name: _pair(folder / images.replace(SPLIT, part), folder / masks.replace(SPLIT, part), folder)
        for name, part in zip(SPLITS, (train, test), strict=True)
    }
    splits = {name: len(of_split) for name, of_split in files.items()}
    return FileRecords(files[split], name=folder.name, classes=(), splits=splits, mask_classes=classes)


def _pair(images: Path, masks: Path, folder: Path) -> LabelledFiles:
    """The images and masks of two folders, with paths relative to a third."""
    of_images, of_masks = _by_stem(images, "images"), _by_stem(masks, "masks")
    for these, kind, there, others, other, top in (
        (of_images, "image", images, of_masks, "mask", masks),
        (of_masks, "mask", masks, of_images, "image", images),
    ):
        alone = {stem: path for stem, path in these.items() if stem not in others}
        if not alone:
            continue
        files = (path for path in sorted(top.rglob("[!.]*")) if _stem(path.relative_to(top)) in alone)
        if (file := next(filter(Path.is_file, files), None)) is not None:
            raise InvalidValue(
                f"the {other} {file} has the suffix {file.suffix!r}, and images and masks have one of "
                f"{' '.join(SUFFIXES)}: save {'its levels, whole numbers,' if other == 'mask' else 'it'} as a PNG"
            )
        raise InvalidValue(
            f"{there} has {len(alone)} {kind} without its {other}, of the same name in {top} "
            f"({name_some(alone.values())}): add the {other} or leave the {kind} out"
        )
    paired = [
        Paths.of(os.path.relpath(top / path, folder) for path in paths)
        for top, paths in ((images, of_images.values()), (masks, (of_masks[stem] for stem in of_images)))
    ]
    return LabelledFiles(images, folder, paired[0], masks=paired[1])


def _by_stem(folder: Path, option: str) -> dict[str, str]:
    """Relative paths by what is before their suffixes."""
    if not folder.is_dir():
        raise DataNotFound(
            f"{folder} is not there: name the folders with data.{option}, and what stands for {SPLIT} in them with "
            "data.train and data.test"
        )
    found: dict[str, str] = {}
    for path in images_below(folder).images:
        other = found.setdefault(_stem(path), path)
        if other != path:
            raise InvalidValue(f"{folder} has both {other} and {path}, and one name stands for one picture: rename one")
    return found


def _stem(path: str | PurePath) -> str:
    """A relative path without its suffix."""
    return str(PurePath(path).with_suffix(""))
