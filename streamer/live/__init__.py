"""Live mode: the picture goes through at once, the network follows as fast as it can."""
