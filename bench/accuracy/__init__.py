"""`python -m bench accuracy`: word errors of each way to run the engine, over recorded human voices."""
