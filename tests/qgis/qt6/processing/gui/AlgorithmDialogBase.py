"""What dialogs of algorithms share."""

from PyQt6.QtWidgets import QDialog


class AlgorithmDialogBase(QDialog):
    """A dialog."""
