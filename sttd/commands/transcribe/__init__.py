"""`sttd transcribe`: files to the daemon, texts back."""
