"""Which frames and channels there are: lists, servers, probes, and made-up frames."""
