"""The server of streams and day datasets: what clients may ask, how they are answered, and the processes that do so."""
