"""`sttd size`: consumers and cores for a day of notes."""
