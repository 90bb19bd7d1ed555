"""The daemon: consumes voice notes, transcribes them, answers. See docs/why.md for its shape."""
