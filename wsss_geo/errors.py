"""The errors a user can meet, each with the exit code of the command line.

Every leaf builds one sentence: what is concerned, what is wrong, what to do about it.
"""

from __future__ import annotations

EXIT_DONE = 0
EXIT_CANCELLED = 130


class WsssGeoError(Exception):
    """Root of all errors that wsss-geo raises on purpose."""

    exit_code = 1

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = problem
        self.hint = hint
        super().__init__(f"{problem}; {hint}" if hint else problem)

    def __reduce__(self) -> tuple[object, ...]:
        """Let errors pass between processes, whatever their constructors take."""
        return _revived, (type(self), self.args, self.__dict__)


def _revived(kind: type[WsssGeoError], args: tuple[str, ...], state: dict[str, object]) -> WsssGeoError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class UsageError(WsssGeoError, ValueError):
    """The command, the job or the arguments are wrong (exit 2)."""

    exit_code = 2


class _SourceError(WsssGeoError, ValueError):
    """An error whose sentence begins with what it concerns, mostly a file: ``source``."""

    def __init__(self, source: object, problem: str, hint: str = "") -> None:
        self.source = str(source)
        super().__init__(f"{source}: {problem}", hint)


class InputError(_SourceError):
    """A file or its content cannot be used (exit 3)."""

    exit_code = 3


class EnvironmentFault(WsssGeoError, RuntimeError):  # noqa: N818 - EnvironmentError is a built-in
    """The machine cannot do it: missing package, memory, disk or permission (exit 4)."""

    exit_code = 4


class ModelError(_SourceError):
    """A model file is damaged, of a newer format, or does not fit the job (exit 5)."""

    exit_code = 5


class Cancelled(WsssGeoError):  # noqa: N818 - no error
    """The user stopped the run; nothing half written is left (exit 130)."""

    exit_code = EXIT_CANCELLED

    def __init__(self, problem: str = "cancelled") -> None:
        super().__init__(problem, "nothing half written was left")
