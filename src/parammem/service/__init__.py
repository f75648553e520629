"""`parammem up`: advice for agents that are running, and their runs as experience and as evidence for the live gate.

It holds one process beside the agent: the proxy, runs and their outcomes, the spool, the advisor that follows the
champion, MCP, pages and metrics. It writes no ledger: what it hands over, a turn of `improve` enters.
"""
