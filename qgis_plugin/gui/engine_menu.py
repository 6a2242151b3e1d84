"""The menu entries about the engine and its models, and the page in QGIS's options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qgis.PyQt.QtGui import QIcon

from ..translate import tr
from .options_page import OptionsFactory


class EngineMenu:
    """One dialog of a kind at a time; ``segment`` and ``search`` show their docks with the model used last."""

    def __init__(
        self, iface: Any, add_action: Callable[..., Any], segment: Callable[[], None], search: Callable[[], None]
    ) -> None:
        self._iface, self._segment, self._search = iface, segment, search
        self._dialogs: dict[str, Any] = {}
        add_action("wsss_geo_models", QIcon(), tr("Models…"), self.show_models)
        add_action("wsss_geo_set_up", QIcon(), tr("Set Up Engine…"), self.show_set_up)
        add_action("wsss_geo_diagnostics", QIcon(), tr("Diagnostics…"), self.show_diagnostics)
        self._factory = OptionsFactory(self.show_set_up, self.show_diagnostics)
        iface.registerOptionsWidgetFactory(self._factory)

    def show_models(self, *_: Any) -> None:
        """Show the models of the folder."""
        from .models_dialog import ModelsDialog  # when it is wanted, so that QGIS starts quickly

        self._show("models", lambda parent: ModelsDialog(self._segment, self._search, parent)).refresh()

    def show_set_up(self, *_: Any) -> None:
        """Show what a set-up of the engine would do."""
        from .setup_dialog import SetUpDialog

        self._show("set_up", SetUpDialog)

    def show_diagnostics(self, *_: Any) -> None:
        """Show a fresh report."""
        from .diagnostics_dialog import DiagnosticsDialog

        self._drop("diagnostics")
        self._show("diagnostics", DiagnosticsDialog)

    def stop(self) -> None:
        """Take everything away."""
        for name in list(self._dialogs):
            self._drop(name)
        self._iface.unregisterOptionsWidgetFactory(self._factory)

    def _show(self, name: str, make: Callable[[Any], Any]) -> Any:
        if name not in self._dialogs:
            self._dialogs[name] = make(self._iface.mainWindow())
        dialog = self._dialogs[name]
        dialog.show()
        dialog.raise_()
        dialog.activateWindow()
        return dialog

    def _drop(self, name: str) -> None:
        dialog = self._dialogs.pop(name, None)
        if dialog is not None:
            if hasattr(dialog, "stop"):
                dialog.stop()
            dialog.close()
            dialog.deleteLater()
