"""A few records, and caches of their pictures, for the tests of caches."""

import io

from PIL import Image

from convnets.data.image_cache import cached
from convnets.data.records import Record
from tests.data.few_records import FewRecords
from tests.data.photograph import photograph


def encoded(image):
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


def records(**options):
    sizes = [(60, 80), (80, 60), (24, 30), (50, 50)]
    some = [Record(encoded(photograph(w, h)), f"picture {i}", i) for i, (h, w) in enumerate(sizes)]
    return FewRecords(some, classes="abcd", **options)


def kept(some, root, short_side=40, channels=3, unreadable=0):
    return cached(some, root, short_side=short_side, channels=channels, unreadable=unreadable)


def caches(root):
    """The folders of whole caches."""
    return [path for path in root.iterdir() if not path.name.startswith(".")]


def files(folder, count=3, size=(30, 40)):
    """Records that are files of one grey level each, their number."""
    folder.mkdir(exist_ok=True)
    some = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.new("RGB", size, (i, i, i)).save(path)
        some.append(Record(path, str(path), 0))
    return FewRecords(some)


def records_of(folder):
    return [Record(path, str(path), 0) for path in sorted(folder.iterdir())]


class Changed(FewRecords):
    """Records of which one is fetched by another function."""

    def __init__(self, some, place, fetch):
        super().__init__(some.records, some.info.classes)
        self.place, self.fetch = place, fetch

    def __getitem__(self, i):
        return self.fetch() if i == self.place else self.records[i]
