"""The demo of continual self-improvement: `make demo` plays it (run.py) in a world that drifts (drift.py)."""
