"""What the daemon and the gateway share as long-running services: HTTP server, log, signals, the broker's address."""
