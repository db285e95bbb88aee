"""The one reader of other people's tables: CSV of any usual dialect and Parquet, batch by batch, told by the bytes."""

from layers.runtime.files import Reading, named_columns
from layers.tables.numbers import NumberStyle, to_numbers, to_texts
from layers.tables.opening import in_words, open_table
from layers.tables.styles import Styles, styles
from layers.tables.table import Batch, Preset, Rejected, Table, commonest
from layers.tables.times import TimeStyle, to_times

__all__ = [
    "Batch",
    "NumberStyle",
    "Preset",
    "Reading",
    "Rejected",
    "Styles",
    "Table",
    "TimeStyle",
    "commonest",
    "in_words",
    "named_columns",
    "open_table",
    "styles",
    "to_numbers",
    "to_texts",
    "to_times",
]
