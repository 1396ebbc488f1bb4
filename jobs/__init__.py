"""Where and how the work runs: the command line, Ray, storage. Never any network maths."""
