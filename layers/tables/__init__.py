"""The one reader of other people's tables: CSV of any usual dialect and Parquet, batch by batch, told by the bytes."""

from layers.tables.numbers import NumberStyle, to_numbers, to_texts
from layers.tables.opening import in_words, open_table
from layers.tables.styles import Styles, styles
from layers.tables.table import Batch, Reading, Rejected, Table
from layers.tables.times import TimeStyle, to_times

__all__ = [
    "Batch",
    "NumberStyle",
    "Reading",
    "Rejected",
    "Styles",
    "Table",
    "TimeStyle",
    "in_words",
    "open_table",
    "styles",
    "to_numbers",
    "to_texts",
    "to_times",
]
