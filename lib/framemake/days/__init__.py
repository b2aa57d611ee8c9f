"""Many days: what has work to do, how they stand, and many days as one."""
