"""Run jobs in this process, or spread over a Ray cluster (`engine.ray` in params.yaml).

executor.py is what stages see. shards.py deals jobs out, pickling.py sends runs to another machine, worker.py is what
happens there, store_actor.py records the completions on the driver's machine, and driver.py starts or joins Ray.
"""
