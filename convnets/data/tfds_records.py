"""Data sets that TensorFlow Datasets has prepared, read without TensorFlow and without decoding a picture.

https://www.tensorflow.org/datasets. Nothing is downloaded or prepared here: `launch.py prepare` does that.
"""

import hashlib
import io
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import numpy as np
from PIL import Image

from convnets.data.decoding import ORIENTATION, Content, unreadable
from convnets.data.label_map import LabelMap
from convnets.data.records import Record
from convnets.data.source import ArraySource, DataNotFound, SourceInfo, as_index
from convnets.data.tfds_folders import TESTED, find, import_tfds, open_builder, shards_of
from convnets.errors import InvalidValue
from convnets.progress import data_bar

SMALL = 64
"""Pixels a side that images may have at most to be kept in memory."""

FILE_NAMES = ("file_name", "image/filename", "image/file_name")
"""Features that say what an example's file was called: in imagenet2012, in voc and coco, and in caltech101."""

LABEL_MAPS = {"oxford_iiit_pet": LabelMap(("pet", "background"), (1, 2), (3,))}
"""What the masks of data sets mean. The border of a pet, 3, is not classified."""

HEAD = "head_bbox"
"""The feature with the box around a pet's head."""

_TURNED = range(2, 9)


class TfdsRecords:
    """The examples of a split as records whose pictures are encoded bytes; `Records` of a prepared data set.

    What is taken of the features, where a data set has them:
      image: the picture, as its publisher or TFDS encoded it.
      label: the class; none where TFDS stores -1, as in the test split of imagenet2012.
      objects (voc, coco, stanford_dogs): the boxes, also those of objects marked as difficult, truncated or a crowd,
        which TFDS stores as fractions of the picture; and their classes, which stanford_dogs doesn't have.
      head_bbox (oxford_iiit_pet): the one box; none where it is empty, as in the test split.
      segmentation_mask (oxford_iiit_pet): the mask, its levels as they are stored; `LABEL_MAPS` has what they mean.

    A picture with boxes or a mask is given decoded, as stored, if EXIF says that a viewer should turn it: boxes and
    masks are those of the stored pixels.

    May be read by several threads and be sent to other processes, which open the files anew.

    Args:
      dataset: "cifar10", "imagenet2012:5.1.0", "imagenette/320px-v2", ...; without a version the newest prepared one.
      split: as TFDS spells it: "train", "train[:90%]", "train[1000:]", "train+validation", ...
      data_dir: the folder of all prepared data sets; empty: TFDS's own (`$TFDS_DATA_DIR`, `~/tensorflow_datasets`).
      names: further names for expressions of splits, whose sizes `info.splits` has.

    Raises:
      InvalidValue: an unknown data set, a split that it doesn't have or that is empty, no images, files in another
        format than array_record or damaged ones, or tensorflow-datasets is not installed.
      DataNotFound: the data set is not prepared in `data_dir`, or one of its files is missing.
    """

    def __init__(
        self,
        dataset: str,
        split: str,
        *,
        data_dir: str = "",
        names: Mapping[str, str] | None = None,
    ):
        tensorflow_datasets = import_tfds()
        folder = find(dataset, data_dir)
        builder = open_builder(folder)
        features = dict(builder.info.features.items())
        if not isinstance(features.get("image"), tensorflow_datasets.features.Image):
            raise InvalidValue(
                f"{dataset} in {folder} has no pictures as a feature 'image', but {', '.join(sorted(features))}: "
                "choose a data set of images"
            )
        objects = dict(getattr(features.get("objects"), "feature", {}).items())
        self._boxes = "objects/bbox" if "bbox" in objects else HEAD if HEAD in features else ""
        self._has_box_labels = "label" in objects
        self._has_mask = isinstance(features.get("segmentation_mask"), tensorflow_datasets.features.Image)
        label = features.get("label")
        self._has_label = isinstance(label, tensorflow_datasets.features.ClassLabel)
        self._called = f"{dataset} {split}"
        self._folder = folder
        published = builder.info.splits
        shards = shards_of(published, dataset, split)
        self._examples = _open(shards)
        named = {name: shards_of(published, dataset, expression) for name, expression in (names or {}).items()}
        first = self[0]
        configuration = builder.builder_config.name if builder.builder_config else ""
        self.info = SourceInfo(
            name=f"{builder.name}/{configuration}" if configuration else builder.name,
            image_shape=cast(tuple[int, int, int], tuple(side or 0 for side in features["image"].shape)),
            classes=tuple(getattr(label if self._has_label else objects.get("label"), "names", ())),
            splits={name: part.num_examples for name, part in published.items()}
            | {split: len(self)}
            | {name: sum(shard.take for shard in parts) for name, parts in named.items()},
            fields=tuple(field for field in ("label", "boxes", "mask") if getattr(first, field) is not None),
            state={
                "name": builder.name,
                "configuration": configuration,
                "version": str(builder.version),
                "split": split,
                "examples": len(self),
                "file_format": "array_record",
                "files": _state_of_files(shards),
            },
            label_map=LABEL_MAPS.get(builder.name),
            box_counts=(0, 1) if self._boxes == HEAD else (),
        )

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, i: int, /) -> Record:
        """The record at place `i` of the split.

        Raises:
          IndexError: `i` outside `0 <= i < len`.
          InvalidValue: its file is damaged.
          UnreadableImage: its picture, which has boxes or a mask, can't be decoded.
        """
        i = as_index(i, len(self))
        name = f"{self._called}, example {i}"
        feature = self._features(i, name)
        file_name = next((_bytes(feature[key]).decode() for key in FILE_NAMES if key in feature), "")
        name += f" ({file_name})" if file_name else ""
        image: Content = _bytes(feature["image"])
        label = feature["label"].int64_list.value[0] if self._has_label else -1
        mask = _bytes(feature["segmentation_mask"]) if self._has_mask else None
        boxes = box_labels = None
        if self._boxes or self._has_mask:
            image, height, width = _as_stored(_bytes(feature["image"]), name)
        if self._boxes:
            fractions = np.array(feature[self._boxes].float_list.value, np.float32).reshape(-1, 4)
            if self._boxes == HEAD:
                fractions = fractions[fractions.any(axis=1)]
            boxes = fractions * np.array([height, width, height, width], np.float32)
        if self._boxes and self._has_box_labels:
            box_labels = np.array(feature["objects/label"].int64_list.value, np.int32)
        return Record(image, name, label if label >= 0 else None, boxes, box_labels, mask)

    def _features(self, i: int, name: str) -> Any:
        """The features of example `i` by name, as `tf.train.Feature`."""
        # Not TFDS's own parser, which takes fifteen times as long.
        from google.protobuf.message import DecodeError
        from tensorflow_datasets.proto import tf_example_pb2

        try:
            feature = tf_example_pb2.Example.FromString(self._examples[i]).features.feature
            if "image" in feature:
                return feature
            error: Exception = KeyError("image")
        except (RuntimeError, DecodeError) as damage:
            error = damage
        raise InvalidValue(
            f"{name} has no image, or can't be read from the files in {self._folder}: prepare the data set again"
        ) from error


def tfds(
    split: str,
    *,
    dataset: str = "imagenet2012",
    data_dir: str = "",
    train: str = "",
    test: str = "",
) -> TfdsRecords:
    """What a run calls "train" or "test".

    Args:
      dataset, data_dir: as `TfdsRecords` takes them.
      train, test: expressions of splits; empty: `train`, and the first of `validation` and `test` that there is.

    Raises:
      InvalidValue, DataNotFound: as `TfdsRecords`.
    """
    splits = open_builder(find(dataset, data_dir)).info.splits
    names = {"train": train or "train", "test": test or next((name for name in TESTED if name in splits), TESTED[-1])}
    return TfdsRecords(dataset, names[split], data_dir=data_dir, names=names)


def load_in_memory(records: TfdsRecords) -> ArraySource:
    """A data set of small images of one shape, decoded once: `image [N, H, W, C]` uint8 and `label [N]` int32.

    The order is the split's.

    Raises:
      InvalidValue: the images have no fixed shape, are larger than 64 x 64 or have no labels, or one is damaged.
    """
    info, shape = records.info, records.info.image_shape
    if 0 in shape or max(shape[:2]) > SMALL or info.fields != ("label",):
        sizes = "different sizes" if 0 in shape else " x ".join(map(str, shape))
        raise InvalidValue(
            f"{info.name} has images of {sizes} with {', '.join(info.fields) or 'no label'}, and only images of one "
            f"size of at most {SMALL} x {SMALL} with labels alone are kept in memory: read it record by record"
        )
    images = np.empty((len(records), *shape), np.uint8)
    labels = np.empty(len(records), np.int32)
    with data_bar(f"decoding {info.name}", len(records)) as bar:
        for i in range(len(records)):
            record = records[i]
            with _image(cast(bytes, record.image), record.name) as image:
                images[i] = np.asarray(image).reshape(shape)
            labels[i] = cast(int, record.label)
            bar.update(i + 1)
    described = SourceInfo(info.name, info.classes, shape, info.splits)
    return ArraySource({"image": images, "label": labels}, described)


def _open(shards: Sequence[Any]) -> Any:
    """The encoded examples by index (https://github.com/google/array_record), opened anew in other processes."""
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    for shard in shards:
        if not os.path.isfile(shard.filename):
            raise DataNotFound(f"{shard.filename} is not there: prepare the data set again, or bring the file back")
        records = _count(str(shard.filename))
        if records != shard.examples_in_shard:
            raise InvalidValue(
                f"{shard.filename} must have {shard.examples_in_shard} records and {records or 'none'} can be read, "
                "because it is truncated or no ArrayRecord file: prepare the data set again"
            )
    return ArrayRecordDataSource([f"{shard.filename}[{shard.skip}:{shard.skip + shard.take}]" for shard in shards])


def _count(path: str) -> int:
    """The records of a file; none if it is damaged, which the data source would notice only while it is read."""
    from array_record.python.array_record_module import ArrayRecordReader

    try:
        reader = ArrayRecordReader(path, options="readahead_buffer_size:0")
        records = int(reader.num_records())
        reader.close()
    except RuntimeError:
        return 0
    return records


def _state_of_files(shards: Sequence[Any]) -> str:
    """Changes with the files and with the folder that they are in."""
    states = [(os.path.abspath(shard.filename), os.stat(shard.filename)) for shard in shards]
    facts = [[path, state.st_size, state.st_mtime_ns] for path, state in states]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _bytes(feature: Any) -> bytes:
    return feature.bytes_list.value[0]


def _as_stored(content: bytes, name: str) -> tuple[Content, int, int]:
    """The picture in a form that no viewer turns, its height and its width."""
    with _image(content, name) as image:
        turned = image.getexif().get(ORIENTATION) in _TURNED
        return np.asarray(image.convert("RGB")) if turned else content, image.height, image.width


@contextmanager
def _image(content: bytes, name: str) -> Iterator[Image.Image]:
    try:
        with Image.open(io.BytesIO(content)) as image:
            yield image
    except Exception as error:
        raise unreadable(f"the image of {name}", error) from error
