"""`python -m sttd`: the same as `sttd`."""

from sttd.commands.main import main

if __name__ == "__main__":
    main()
