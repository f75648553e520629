"""`python -m parammem.cli` is `parammem`."""

from parammem.cli import main

main()
