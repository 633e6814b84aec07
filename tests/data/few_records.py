"""Records in memory for tests: a handful of pictures with everything that a record can have."""

from dataclasses import replace

from convnets.data.records import Record
from convnets.data.source import UNKNOWN_SHAPE, SourceInfo


class FewRecords:
    """`Records` of a list."""

    def __init__(self, records: list[Record], classes=("a", "b"), fields=("label",), state=None):
        self.records = records
        sizes = {"train": len(records), "test": len(records)}
        self.info = SourceInfo(
            "few", tuple(classes), UNKNOWN_SHAPE, sizes, fields=tuple(fields), state=state or {"state": 1}
        )

    def __len__(self):
        return len(self.records)

    def __getitem__(self, i):
        return self.records[i]


def broken(record: Record) -> Record:
    """The same record with a picture that nobody can decode."""
    return replace(record, image=b"no picture")
