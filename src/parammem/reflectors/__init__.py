"""Who gives advice before an attempt: parametric (ParamMem, and its base untrained) and retrieved (looked up in rows)."""
