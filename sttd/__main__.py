"""`python -m sttd`: the same as `sttd`."""

from __future__ import annotations

from sttd.commands.main import main

if __name__ == "__main__":
    main()
