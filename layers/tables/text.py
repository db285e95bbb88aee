"""The bytes of a text file as UTF-8, whatever its packing and encoding."""

import codecs
import gzip
import io
from typing import Any, BinaryIO, cast

from layers.runtime.errors import InputError
from layers.runtime.files import MB, Limits, reading

BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
GZIP = b"\x1f\x8b"


def _windows_1252(error: UnicodeError) -> tuple[str, int]:
    """Its five unassigned bytes stand for themselves, as in Latin-1."""
    if not isinstance(error, UnicodeDecodeError):
        raise error
    return error.object[error.start : error.end].decode("latin-1"), error.end


codecs.register_error("as-latin-1", _windows_1252)


class Text(io.RawIOBase):
    """A text from its start, gzip or not, in UTF-8 without a byte-order mark, followed by `ending`.

    UTF-16 is told by its mark or its zeros. What is not UTF-8 and has no UTF-8 beside it is Windows' Latin-1 (cp1252).
    Reading raises InputError for bytes that are neither and for broken gzip, LimitError past `limits.object_mb`, and
    RuntimeError after `detach`: an iteration that was left half way must not read on beside the next one.
    """

    def __init__(self, source: BinaryIO, name: str, limits: Limits, ending: bytes = b"") -> None:
        source.seek(0)
        packed = source.read(2) == GZIP
        source.seek(0)
        self._plain = cast(BinaryIO, gzip.GzipFile(fileobj=source)) if packed else source
        self._name, self._limits, self._ending = name, limits, ending
        self._size, self._line, self._at_start, self._ascii = 0, 1, True, True
        self._ready = b""
        self._detached = False
        self.encoding = "utf-8"
        self._decoder: codecs.IncrementalDecoder = codecs.getincrementaldecoder("utf-8")()

    def readable(self) -> bool:
        """It is."""
        return True

    def detach(self) -> None:
        """Leave the source alone from now on."""
        self._detached = True

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` with UTF-8."""
        if self._detached:
            raise RuntimeError("the table is being read anew")
        while not self._ready:
            with reading(self._name, "gzip"):
                chunk = self._plain.read(len(buffer))
            self._size += len(chunk)
            self._limits.check(self._name, object_mb=self._size / MB)
            self._ready = self._decoded(chunk)
            if not chunk:
                self._ready += self._ending
                self._ending = b""
                break
        count = min(len(buffer), len(self._ready))
        buffer[:count] = self._ready[:count]
        self._ready = self._ready[count:]
        return count

    def _decoded(self, chunk: bytes) -> bytes:
        if self._at_start and chunk:
            self._at_start = False
            self._begin(chunk)
        waiting = self._decoder.getstate()[0]
        if chunk and chunk.isascii() and not waiting and self.encoding != "utf-16":
            text, body = "", chunk
        else:
            text = self._text(chunk)
            body = text.encode("utf-8", "replace")
            self._ascii &= text.isascii()
        self._line += body.count(b"\n")
        return body

    def _begin(self, chunk: bytes) -> None:
        coding = next((coding for mark, coding in BOMS.items() if chunk.startswith(mark)), None)
        if coding is None and chunk[:2000].count(0) > len(chunk[:2000]) // 4:
            coding = "utf-16-be" if chunk[0] == 0 else "utf-16-le"
        if coding:
            self._decoder = codecs.getincrementaldecoder(coding)()
            self.encoding = coding[:6].rstrip("-") if coding.startswith("utf-16") else "utf-8"

    def _text(self, chunk: bytes) -> str:
        try:
            return self._decoder.decode(chunk, final=not chunk)
        except UnicodeDecodeError as exc:
            before, rest = exc.object[: exc.start], exc.object[exc.start :]
            if self.encoding == "utf-8" and self._ascii and before.isascii() and _is_single_byte(rest):
                self.encoding = "cp1252"
                self._decoder = codecs.getincrementaldecoder("cp1252")("as-latin-1")
                return before.decode() + self._decoder.decode(rest)
            line = self._line + before.count(b"\n")
            problem = f"line {line} is not in {self.encoding.upper()}"
            raise InputError(f"cannot be read as CSV: {problem}", file=self._name) from exc


def _is_single_byte(rest: bytes) -> bool:
    """Whether more of the bytes beyond ASCII are no UTF-8 than are: else it is UTF-8 with a damaged byte."""
    several = sum(not char.isascii() for char in rest.decode("utf-8", "ignore"))
    return rest.decode("utf-8", "replace").count("\ufffd") > several
