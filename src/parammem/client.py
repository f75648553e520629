"""The client of the service: advice for a run, and its outcome."""
