"""Two productions compared."""
