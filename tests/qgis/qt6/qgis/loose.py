"""Classes that know every name: whatever is asked of them is another of their kind."""

from __future__ import annotations

from PyQt6.QtCore import QObject


class _Names(type(QObject)):
    def __getattr__(cls, name):
        if name.startswith("_"):
            raise AttributeError(name)
        return Loose()


class Loose:
    """An object, function, enum or signal, as it is taken for."""

    def __init__(self, *_, **__):
        pass

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return Loose()

    def __call__(self, *_, **__):
        return Loose()

    def __iter__(self):
        return iter(())

    def __bool__(self):
        return False

    def __or__(self, other):
        return self

    def __str__(self):
        return ""


def made(name, *bases):
    """A class of this name that knows every name."""

    def init(self, *arguments, **_):
        parents = [a for a in arguments if isinstance(a, QObject)]
        super(cls, self).__init__(*(parents[-1:] if bases else ()))

    def get(self, wanted):
        if wanted.startswith("_"):
            raise AttributeError(wanted)
        return Loose()

    cls = _Names(name, bases or (QObject,), {"__init__": init, "__getattr__": get})
    return cls
