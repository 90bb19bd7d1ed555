"""`sttd bench`: stock faster-whisper beside the daemon's engine on the caller's files."""
