"""The Whisper model in memory, layer over layer, and the library that encodes for it."""
