"""The published documents of the message contract: JSON Schema, AsyncAPI, and an example of each message."""
