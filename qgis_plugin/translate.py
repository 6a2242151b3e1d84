"""The user's language: texts, and numbers in texts."""

from __future__ import annotations

import string
from pathlib import Path
from typing import Any

from qgis.core import QgsApplication
from qgis.PyQt.QtCore import QCoreApplication, QLocale, QTranslator

#: The one context of all texts; ``tools/translations.py`` collects them.
CONTEXT = "wsss_geo"
_FOLDER = Path(__file__).with_name("i18n")


def tr(text: str) -> str:
    """Return ``text`` in the user's language."""
    return QCoreApplication.translate(CONTEXT, text)


def mark(text: str) -> str:
    """Return ``text`` as it is: one of a table, translated by ``tr`` where it is shown."""
    return text


def fill(text: str, *values: Any) -> str:
    """Return ``text.format(*values)`` with numbers that have a format (as in ``{:,}``) in the user's way of writing."""
    return _Filler().format(text, *values)


def number(value: float, form: str) -> str:
    """Return a number in Python's format ``form`` with the user's separators."""
    locale = QLocale()
    own = {",": locale.groupSeparator(), ".": locale.decimalPoint()}
    return "".join(own.get(sign, sign) for sign in format(value, form))


def install_translation() -> QTranslator | None:
    """Let the plugin speak QGIS's language from now on; None if it is English or one that the plugin does not know."""
    locale = QgsApplication.locale()
    for name in (locale, locale.split("_")[0]):
        path = _FOLDER / f"{CONTEXT}_{name}.qm"
        translator = QTranslator()
        if path.is_file() and translator.load(str(path)):
            QCoreApplication.installTranslator(translator)
            return translator
    return None


def remove_translation(translator: QTranslator | None) -> None:
    """Take back ``install_translation``."""
    if translator is not None:
        QCoreApplication.removeTranslator(translator)


class _Filler(string.Formatter):
    def format_field(self, value: Any, form: str) -> str:
        if form and isinstance(value, (int, float)):
            return number(value, form)
        return format(value, form)
