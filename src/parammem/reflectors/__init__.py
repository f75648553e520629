"""Who gives advice before an attempt: parametric (ParamMem; its base untrained) and retrieved (looked up in rows).
How an adapter is trained is in `training`; how advice is used, in `agents`."""
