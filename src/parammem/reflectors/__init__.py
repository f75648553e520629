"""Who gives advice before an attempt: parametric (ParamMem; its base untrained) and retrieved (looked up in rows)."""
