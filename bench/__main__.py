"""`python -m bench COMMAND`, which `make bench` calls. docs/benchmarks/README.md explains its results."""

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
