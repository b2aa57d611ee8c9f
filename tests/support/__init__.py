"""What the test files share: commands as real processes, small sites, real daemons."""
