"""ArrayRecord files by index: https://github.com/google/array_record."""

from collections.abc import Sequence
from typing import Any

from convnets.data.source import DataNotFound
from convnets.data.tfrecord import Shard
from convnets.errors import InvalidValue


def open_array_records(shards: Sequence[Shard]) -> Any:
    """The wanted records of several files, as bytes by index: `array_record`'s data source.

    May be read by several threads, and be sent to other processes, which open the files anew.

    Args:
      shards: in the order of the records.

    Raises:
      DataNotFound: a file is not there.
      InvalidValue: a file is truncated, no ArrayRecord file, or has another number of records.
    """
    from array_record.python.array_record_data_source import ArrayRecordDataSource

    for shard in shards:
        if not shard.path.is_file():
            raise DataNotFound(f"{shard.path} is not there: prepare the data set again, or bring the file back")
        records = _count(str(shard.path))
        if records != shard.records:
            raise InvalidValue(
                f"{shard.path} must have {shard.records} records and {records or 'none'} can be read, because it is "
                "truncated or no ArrayRecord file: prepare the data set again"
            )
    return ArrayRecordDataSource([f"{shard.path}[{shard.skip}:{shard.skip + shard.take}]" for shard in shards])


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
