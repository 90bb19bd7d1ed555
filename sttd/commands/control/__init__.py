"""`sttd control`: an operator's orders to the daemons."""
