"""`sttd demo`: a daemon, the sample notes and their texts."""
