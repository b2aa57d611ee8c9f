"""Whether streams are what their records, their index and their frames make them."""
