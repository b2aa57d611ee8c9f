"""One host, every night: its steps, frames brought home and removed again, and whether all of it is well."""
