"""What operators look at: metrics, health, and the HTTP app that shows them."""
