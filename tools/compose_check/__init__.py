"""`make compose-check`: docker-compose.yml started for real, on a Docker engine of its own."""
