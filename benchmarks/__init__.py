"""Each claim of speed or memory as a script that runs both sides on this machine and prints the ratio."""
