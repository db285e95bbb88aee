"""Removes what no installed package needs at run time: `python prune.py FOLDER`. The base image has no `find`."""

import shutil
import sys
from pathlib import Path

UNUSED = (
    "**/tests",
    "onnx/backend",  # models to test backends with
    "onnxruntime/capi/libonnxruntime.so.*",  # for programs in C; Python has its own copy
    "pyarrow/include",
    "pyarrow/*flight*",  # Arrow's RPC and its own client of S3: here boto3 reads and writes
    "pyarrow/*s3*",
)

FOLDER = Path(sys.argv[1])

useless = [path for pattern in UNUSED for path in FOLDER.glob(pattern)]
if not (FOLDER / "sklearn").exists():  # without it, only LightGBM asks for SciPy, and for sparse matrices alone
    useless += [path for path in FOLDER.glob("scipy/[a-z]*/") if path.name != "sparse"]
    useless += FOLDER.glob("scipy.libs")
for path in useless:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink()
