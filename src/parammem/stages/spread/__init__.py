"""Where tasks are worked on: in this process, or spread over a Ray cluster (`engine.ray` in params.yaml).

workplace.py is what stages see. parcel.py sends runs to another machine, shard.py is what happens there, desk.py keeps
what comes of it on the driver's machine, and cluster.py talks to Ray: nothing else in the project does.
"""
