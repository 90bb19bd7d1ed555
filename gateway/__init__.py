"""HTTP in front of the queue. Imports schemas and sttd.client; knows nothing of the daemon."""
