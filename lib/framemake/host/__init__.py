"""One host, every night: frames brought home, what was found, frames that need not be kept."""
