"""What `make demo` shows: experience of a pocket agent from a world that drifts, and one batch of it that lies."""
