"""`sttd dead list|show|requeue|drop`: what could not be answered."""
