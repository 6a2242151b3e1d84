"""The dialog of an algorithm."""

from PyQt6.QtWidgets import QDialog


class AlgorithmDialog(QDialog):
    """A dialog."""
