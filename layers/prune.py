"""Removes what no installed package needs at run time: `python prune.py FOLDER`. The base image has no `find`."""

import shutil
import sys
from pathlib import Path

for folder in sorted(Path(sys.argv[1]).rglob("tests")):
    if folder.is_dir():
        shutil.rmtree(folder)
