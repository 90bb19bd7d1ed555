"""`python -m bench COMMAND`: the benchmark's command line. `make bench` calls it; docs/benchmarks/README.md says how to read what it writes."""

from __future__ import annotations

import sys

from bench.command import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
