"""`python -m cli` is `trefoil`."""

from cli.main import main

main()
