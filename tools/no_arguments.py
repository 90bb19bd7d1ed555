"""The command line of a tool that takes no arguments: `--help` prints what it does, and anything else is refused."""

import argparse


def refuse(description: str | None) -> None:
    """End the process unless there are none. `description`: the tool's docstring."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.parse_args()
