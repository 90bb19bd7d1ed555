"""The life of one request: from the delivery of a message to its ack."""
