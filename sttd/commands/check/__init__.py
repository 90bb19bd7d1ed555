"""`sttd check`: what is wrong with this host, these settings and this broker."""
