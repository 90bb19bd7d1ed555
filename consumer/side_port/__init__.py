"""The operator's view: metrics, health, and the HTTP app that shows them."""
