"""Connect the processes that train one adapter together, pass messages between them, and distribute the model.

`accelerate launch` starts them and sets the environment that is read here. Process 0 leads: it alone reads rows, writes
files and runs the stage; the others follow with what it tells them. A run without a launcher is a team of one, to
which all of this does nothing. Nothing here depends on rows, params or adapters.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from parammem.core.words import count
from parammem.errors import ConfigError
from parammem.training.launch import end_with_parent

VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torch's launcher, and so accelerate's, says to each process."""
PATIENCE = timedelta(days=7)
"""How long followers wait to be told something: a stage may label rows between two adapters. A process that fails ends
the others at once, so this bounds nothing else."""
A_STEP = timedelta(minutes=30)
"""How long one process may keep the others waiting within a training."""


@dataclass(frozen=True)
class Team:
    """This process's place among those that train together."""

    rank: int = 0
    size: int = 1
    local: int = 0
    """Number of the process on its own machine, and so of its GPU."""
    strategy: str = "ddp"
    control: Any = None
    """Process group for words rather than numbers; None in a team of one."""

    @property
    def leads(self) -> bool:
        return self.rank == 0

    def device(self, kind: str) -> str:
        """Return this process's own device of a kind: cuda becomes its own GPU."""
        return f"{kind}:{self.local}" if self.size > 1 and kind == "cuda" else kind

    def tell(self, thing: Any) -> Any:
        """Return what the leader says, in every process. All must call it; what followers pass is ignored."""
        if self.size == 1:
            return thing
        import torch.distributed as dist

        box = [thing if self.leads else None]
        dist.broadcast_object_list(box, src=0, group=self.control)
        return box[0]

    def total(self, value: float) -> float:
        """Return the sum of every process's value, in every process."""
        if self.size == 1:
            return value
        import torch
        import torch.distributed as dist

        box = torch.tensor([value], dtype=torch.float64)
        dist.all_reduce(box, group=self.control)
        return box.item()

    def fill(self, tensor: Any, value: Any) -> None:
        """Set a tensor, or this process's share of one, to the leader's whole value; None in the followers."""
        import torch
        from torch.distributed import broadcast
        from torch.distributed.tensor import DTensor, distribute_tensor

        with torch.no_grad():
            if not isinstance(tensor, DTensor):
                box = value.to("cpu", tensor.dtype) if self.leads else torch.empty(tensor.shape, dtype=tensor.dtype)
                if self.size > 1:
                    broadcast(box, 0, group=self.control)
                tensor.copy_(box)
                return
            local = tensor.to_local()
            box = (value if self.leads else torch.empty(tensor.shape)).to(local.device, tensor.dtype)
            local.copy_(distribute_tensor(box, tensor.device_mesh, tensor.placements).to_local())


ALONE = Team()


def launched(environment: Mapping[str, str] = os.environ) -> int:
    """Return how many processes a launcher started together with this one; 1 if none did."""
    return int(environment["WORLD_SIZE"]) if all(name in environment for name in VARIABLES) else 1


@contextmanager
def joined_team(processes: int, strategy: str, device: str) -> Iterator[Team]:
    """Yield this process's team, connected while the block lasts. At its end the leader sends the followers home.

    Args:
        processes, strategy: params `train.launch`, which the launcher has to agree with: they are part of the recipe.
        device: cpu or cuda.

    Raises:
        ConfigError: the launcher started another number of processes, or a GPU is missing.
    """
    size = launched()
    _check(processes, size, strategy)
    if size == 1:
        yield ALONE
        return
    import torch
    import torch.distributed as dist

    end_with_parent()
    # Read by transformers: followers would load empty weights, and ask for them in a way that is not ours.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    local = int(os.environ["LOCAL_RANK"])
    if device == "cuda":
        if local >= torch.cuda.device_count():
            raise ConfigError(
                f"process {local + 1} of this machine has no GPU ({torch.cuda.device_count()} found); "
                "set train.launch.processes to the number of GPUs"
            )
        torch.cuda.set_device(local)
    dist.init_process_group("cpu:gloo,cuda:nccl" if device == "cuda" else "gloo", timeout=A_STEP)
    team = Team(dist.get_rank(), size, local, strategy, dist.new_group(backend="gloo", timeout=PATIENCE))
    yield team
    if team.leads:
        team.tell(None)
    dist.destroy_process_group()


def _check(processes: int, size: int, strategy: str) -> None:
    if size != processes:
        raise ConfigError(
            f"launched: {count(size, 'process', 'processes')}, train.launch.processes is {processes}; set it to "
            f"{size}, since the number of processes is part of the recipe"
        )
    if size > 1 and strategy != "fsdp" and os.environ.get("ACCELERATE_USE_FSDP", "false") == "true":
        raise ConfigError(
            "accelerate was launched with --use_fsdp and train.launch.strategy is ddp; set it to fsdp, or launch "
            "with --multi_gpu"
        )


def distribute(model: Any, team: Team, device: str) -> Any:
    """Put a PEFT model on the team's devices; returns what to call for a forward pass that is learned from.

    With fsdp the model's own tensors become shares. All processes start from the leader's trainable weights.
    """
    if team.size == 1:
        return model.to(device)
    from torch.distributed.fsdp import fully_shard
    from torch.nn.parallel import DistributedDataParallel

    for weight in trainable(model).values():
        team.fill(weight, weight)
    if team.strategy == "ddp":
        model.to(device)
        own = [team.local] if device.startswith("cuda") else None
        # Frozen weights come from the same files, whose digest each process compares with the leader's.
        return DistributedDataParallel(model, device_ids=own, forward_sync_buffers=False, init_sync=False)
    from torch.distributed.device_mesh import init_device_mesh

    mesh = init_device_mesh(device.split(":")[0], (team.size,))
    for layer in _layers(model.get_base_model()):
        fully_shard(layer, mesh=mesh)
    return fully_shard(model, mesh=mesh)


def trainable(model: Any) -> dict[str, Any]:
    """Return the adapter's own tensors: the only ones that learn."""
    return {name: weight for name, weight in model.named_parameters() if weight.requires_grad}


def adding_up(forward: Any, last: bool) -> AbstractContextManager[None]:
    """Return the context of a forward and backward pass: with ddp, gradients travel after the last pass of a step
    only."""
    return forward.no_sync() if not last and hasattr(forward, "no_sync") else nullcontext()


def whole_tensor(tensor: Any) -> Any:
    """Return a tensor as it is; of one that is spread, all of it (every process must ask)."""
    return tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor


def _layers(base: Any) -> list[Any]:
    """Return the model's blocks, by the names that its class gives for what must not be split."""
    names = set(base._no_split_modules or ())
    return [module for module in base.modules() if type(module).__name__ in names]
