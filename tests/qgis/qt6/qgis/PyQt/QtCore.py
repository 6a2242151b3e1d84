"""Qt 6."""

from PyQt6.QtCore import *  # noqa: F403
from PyQt6.QtCore import PYQT_VERSION_STR, QT_VERSION_STR, pyqtSignal, pyqtSlot  # noqa: F401
