"""`sttd topology declare` and `sttd topology check`: the queues and exchanges of the daemon."""
