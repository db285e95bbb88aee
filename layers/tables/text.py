"""The bytes of a text file as UTF-8, whatever its packing and encoding."""

import codecs
import gzip
from collections.abc import Iterator
from typing import Any, BinaryIO, cast

from layers.runtime.errors import InputError
from layers.runtime.files import MB, Limits, reading

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
GZIP = b"\x1f\x8b"


def _as_latin_1(error: Any) -> tuple[str, int]:
    """The five bytes that cp1252 lacks stand for themselves."""
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("as-latin-1", _as_latin_1)


class Text:
    """A text, gzip or not, as UTF-8 without a byte-order mark; `encoding` is certain when it was read to its end.

    UTF-16 is told by its mark or its zeros. What is not UTF-8 and has no UTF-8 beside it is Windows' Latin-1 (cp1252).
    """

    def __init__(self, source: BinaryIO, name: str, limits: Limits) -> None:
        self._source, self._name, self._limits = source, name, limits
        self.encoding = "utf-8"
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()
        self._line, self._ascii = 1, True

    def chunks(self, size: int) -> Iterator[bytes]:
        """The text from its start, about `size` bytes at a time; one iteration ends the usefulness of any other.

        Raises InputError for bytes in no known encoding and for broken gzip, LimitError past `limits.object_mb`.
        """
        self._source.seek(0)
        packed = self._source.read(2) == GZIP
        self._source.seek(0)
        plain = cast(BinaryIO, gzip.GzipFile(fileobj=self._source)) if packed else self._source
        chunk, total = b"-", 0
        while chunk:
            with reading(self._name, "gzip"):
                chunk = plain.read(size)
            if not total:
                self._begin(chunk)
            total += len(chunk)
            self._limits.check(self._name, object_mb=total / MB)
            body = self._decoded(chunk)
            self._line += body.count(b"\n")
            yield body

    def _begin(self, chunk: bytes) -> None:
        coding = next((coding for mark, coding in BOMS.items() if chunk.startswith(mark)), None)
        if coding is None and chunk[:2000].count(0) > len(chunk[:2000]) // 4:
            coding = "utf-16-be" if chunk[0] == 0 else "utf-16-le"
        self.encoding = "utf-16" if coding and coding.startswith("utf-16") else "utf-8"
        self._decoder = codecs.getincrementaldecoder(coding or "utf-8")()

    def _decoded(self, chunk: bytes) -> bytes:
        if chunk and chunk.isascii() and self.encoding != "utf-16" and not self._decoder.getstate()[0]:
            return chunk
        try:
            text = self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as exc:
            before, rest = exc.object[: exc.start], exc.object[exc.start :]
            if not (self.encoding == "utf-8" and self._ascii and before.isascii() and _is_single_byte(rest)):
                line = self._line + before.count(b"\n")
                problem = f"line {line} is not in {self.encoding.upper()}"
                raise InputError(f"cannot be read as CSV: {problem}", file=self._name) from exc
            self.encoding = "cp1252"
            self._decoder = codecs.getincrementaldecoder("cp1252")("as-latin-1")
            text = before.decode() + self._decoder.decode(rest)
        self._ascii &= text.isascii()
        return text.encode("utf-8", "replace")


def _is_single_byte(rest: bytes) -> bool:
    """Whether more of the bytes beyond ASCII are no UTF-8 than are: else it is UTF-8 with a damaged byte."""
    several = sum(not char.isascii() for char in rest.decode("utf-8", "ignore"))
    return rest.decode("utf-8", "replace").count("\ufffd") > several
