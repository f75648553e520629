"""The user's side of the example: a shop's database, the desk's agent, who judges its answers, and its logs.

Nothing here imports ParamMem, and only the standard library is used. Run modules from the folder above: `python -m
desk.agent`.
"""
