"""From trend frames into the e-Lab's streams."""
