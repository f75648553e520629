"""Every error this project raises on purpose. The tree:

ParamMemError
├── ConfigError          params.yaml is wrong; lists every wrong key with its fix
├── DataError            a file or row cannot be used
│   └── RecordError      a line of a JSONL file does not parse; names file, line and reason
├── EngineError          a model could not write text
│   ├── ModelMissingError    no model folder where params point
│   ├── BudgetExceeded       the token or money budget is spent
│   └── RequestFailed        one request got no usable answer; it concerns its own task and no other
├── AdapterError         an adapter cannot be used
│   ├── AdapterMissingError  no adapter where one was expected
│   └── AdapterMismatchError the base model is not the one the adapter was trained on
├── SandboxError         untrusted code cannot be run safely here
│   └── UntrustedTests       a folder of tests is not what the stage `tasks` wrote, so they are not run
├── ValidationFailed     the reflection data broke its rules; names the rules
├── TooManyFailures      more tasks of a stage failed than params allow
├── LineageError         a recorded link from data to model does not hold
│   └── LineageMissingError  what was asked about lineage is not here, or cannot be done now; no link is broken
├── LedgerError          the ledger, a version or a tag is missing, broken or cannot be made
├── ClusterError         the Ray cluster cannot be used, or lost a shard too often
└── ServiceError         the service for running agents cannot do what it was asked for
    ├── UnknownRun           no run of that id, or not for who asks
    └── NotRecorded          the spool of runs is full or broken

Each message says what is wrong, which thing it is about, and what to do next.
`exit_code` is what the command line returns for it (2 is typer's own usage error).
"""

from __future__ import annotations


class ParamMemError(Exception):
    """Base of all errors raised on purpose."""

    exit_code = 1


class ConfigError(ParamMemError):
    exit_code = 3


class DataError(ParamMemError):
    exit_code = 4


class RecordError(DataError):
    pass


class EngineError(ParamMemError):
    exit_code = 5


class ModelMissingError(EngineError):
    pass


class BudgetExceeded(EngineError):
    pass


class RequestFailed(EngineError):
    pass


class AdapterError(ParamMemError):
    exit_code = 6


class AdapterMissingError(AdapterError):
    pass


class AdapterMismatchError(AdapterError):
    pass


class SandboxError(ParamMemError):
    exit_code = 7


class UntrustedTests(SandboxError):
    pass


class ValidationFailed(ParamMemError):
    exit_code = 8


class TooManyFailures(ParamMemError):
    exit_code = 9


class LineageError(ParamMemError):
    exit_code = 10


class LineageMissingError(LineageError):
    exit_code = 1


class LedgerError(ParamMemError):
    exit_code = 11


class ClusterError(ParamMemError):
    exit_code = 12


class ServiceError(ParamMemError):
    exit_code = 13


class UnknownRun(ServiceError):
    pass


class NotRecorded(ServiceError):
    pass
