"""The README and the documents: parts between `<!-- name -->` and `<!-- end -->` are checked against the code."""

import re
from collections.abc import Iterator
from pathlib import Path

from tests.conftest import ROOT

DOCUMENTS = (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
PROSE = "\n".join(file.read_text() for file in DOCUMENTS)


def section(name: str) -> str:
    """The marked part of that name, in the README or one of the documents."""
    return next(parts for _, parts in marked(name))


def marked(name: str) -> Iterator[tuple[Path, str]]:
    """File and text of the marked part `name`, which stands in one document only."""
    for file in DOCUMENTS:
        for part in re.findall(rf"<!-- {name} -->\n(.*?)\n?<!-- end -->", file.read_text(), re.S):
            yield file, part


def write(name: str, table: str) -> None:
    """Put a table where the part `name` stands."""
    for file, _ in list(marked(name)):
        pattern = rf"(<!-- {name} -->\n).*?(<!-- end -->)"
        file.write_text(re.sub(pattern, lambda m: f"{m[1]}{table}\n{m[2]}", file.read_text(), flags=re.S))
