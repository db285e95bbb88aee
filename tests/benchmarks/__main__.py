"""`python -m tests.benchmarks [--quick] [--only NAME]`: print the table and write build/bench.json."""

import argparse
import sys
from pathlib import Path

from tests.benchmarks.runner import HEADER, LEAVES, collect, line, save


def main() -> int:
    """0 when every target is met, 1 when one is missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="smaller sizes, fewer repeats: about two minutes")
    parser.add_argument("--only", choices=LEAVES, action="append", help="benchmarks of this leaf")
    parser.add_argument("--out", type=Path, default=Path("build/bench.json"))
    arguments = parser.parse_args()
    results = []
    print(HEADER)
    for leaf, row in collect(arguments.only or LEAVES, quick=arguments.quick):
        results.append((leaf, row))
        print(line(leaf, row), flush=True)
    save(results, arguments.out, quick=arguments.quick)
    return 0 if all(row.met for _, row in results) else 1


if __name__ == "__main__":
    sys.exit(main())
