"""`python -m experiments.mutation`: the stage `mutation` of dvc.yaml."""

from experiments.mutation.run import run
from parammem.cli import run_command

run_command(run)
