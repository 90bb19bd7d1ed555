"""`make systemd-check`: the units of deploy/systemd, started by a real systemd."""
