"""QGIS's dialog of an algorithm, with a button that copies what is set up as a command."""

from __future__ import annotations

from typing import Any

from processing.gui.AlgorithmDialog import AlgorithmDialog
from processing.gui.AlgorithmDialogBase import AlgorithmDialogBase
from qgis.core import Qgis, QgsProcessingContext, QgsProcessingException, QgsProject
from qgis.PyQt.QtWidgets import QDialogButtonBox, QPushButton

from ..command import command_of
from ..translate import tr


class CommandDialog(AlgorithmDialog):
    """For algorithms that are one job of the engine."""

    def __init__(self, algorithm: Any, parent: Any = None) -> None:
        super().__init__(algorithm, parent=parent)
        self.copy_button = QPushButton(tr("Copy as Command"))
        self.copy_button.setObjectName("wsss_geo_copy_command")
        self.copy_button.setToolTip(tr("Copy what is set up as a “wsss-geo” command for a terminal"))
        self.copy_button.clicked.connect(self.copy_command)
        self.buttonBox().addButton(self.copy_button, QDialogButtonBox.ButtonRole.ResetRole)  # on the left

    def copy_command(self) -> None:
        """Copy the command, or say what is missing."""
        context = QgsProcessingContext()
        context.setProject(QgsProject.instance())
        try:
            job = self.algorithm().create().job(self.createProcessingParameters(), context)
        except AlgorithmDialogBase.InvalidParameterValue as error:
            sentence = tr("Wrong or missing value: {}.").format(error.parameter.description())
        except (AlgorithmDialogBase.InvalidOutputExtension, QgsProcessingException) as error:
            sentence = str(getattr(error, "message", "") or error)
        else:
            self.messageBar().clearWidgets()
            self.messageBar().pushMessage("", command_of(job).copy(), Qgis.MessageLevel.Success)
            return
        self.messageBar().clearWidgets()
        self.messageBar().pushMessage("", sentence, Qgis.MessageLevel.Warning)
