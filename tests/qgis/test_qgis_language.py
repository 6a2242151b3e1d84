"""A German QGIS shows German, and no text on a window or in a report escapes the translator."""

from __future__ import annotations

import importlib
import re
from xml.etree import ElementTree

import pytest


@pytest.fixture
def language(qgis_app):
    """Let QGIS be of a language: "de", "de_AT", ...; as before at the end."""
    from qgis.core import QgsSettings
    from qgis.PyQt.QtCore import QLocale

    before = QLocale()

    def choose(name):
        QgsSettings().setValue("locale/overrideFlag", True)
        QgsSettings().setValue("locale/userLocale", name)
        QLocale.setDefault(QLocale(name))

    yield choose
    QLocale.setDefault(before)
    QgsSettings().remove("locale/overrideFlag")
    QgsSettings().remove("locale/userLocale")


@pytest.fixture
def load(plugin_folder, iface):
    """Load the plugin; it is unloaded at the end."""
    made = []

    def start():
        plugin = importlib.import_module(plugin_folder.name).classFactory(iface)
        made.append(plugin)
        plugin.initGui()
        return plugin

    yield start
    for plugin in made:
        plugin.unload()


def algorithms():
    from qgis.core import QgsApplication

    return {a.name(): a for a in QgsApplication.processingRegistry().providerById("wsss_geo").algorithms()}


@pytest.mark.parametrize("name", ["de", "de_DE", "de_AT"])
def test_a_german_qgis_shows_german(language, load, package, iface, name):
    language(name)
    plugin = load()
    titles = {a.objectName(): a.text() for _, a in iface.menu}
    assert titles["wsss_geo_segment"] == "Layer segmentieren"
    assert titles["wsss_geo_set_up"] == "Engine einrichten…"
    segment = algorithms()["segment"]
    assert segment.displayName() == "Layer segmentieren"
    assert "Fenster für Fenster" in segment.shortHelpString()
    assert "Landbedeckung" in segment.tags()
    assert segment.helpUrl().endswith("/help/index_de.html#segment")
    assert segment.parameterDefinition("MIN_AREA").description() == "Mindestfläche der Polygone (Quadratmeter)"
    assert segment.parameterDefinition("THRESHOLD").help() == "Pixel geringerer Konfidenz werden zum Leerwert"
    report = package("report").area_table({"Wald": 12_345_678.0}, {"Wald": 0.5}, True)
    assert "<th>Fläche" not in report
    assert "<th>Hektar</th>" in report
    assert (">1.234,568<" in report) == (name != "de_AT")  # there a space parts the thousands
    assert ">50,0 %<" in report
    plugin.unload()
    assert package("translate").tr("Cancel") == "Cancel"


@pytest.mark.parametrize("name", ["en_US", "fr_FR", "C"])
def test_other_languages_stay_english(language, load, name):
    language(name)
    load()
    assert algorithms()["segment"].displayName() == "Segment layer"


def test_the_compiled_language_is_that_of_the_sources(plugin_folder, qgis_app):
    """Read with Qt, text by text."""
    from pathlib import Path

    from qgis.PyQt.QtCore import QCoreApplication, QTranslator

    (compiled,) = sorted((plugin_folder / "qgis_plugin/i18n").iterdir())
    translator = QTranslator()
    assert translator.load(str(compiled))
    source = Path(__file__).resolve().parents[2] / "qgis_plugin/i18n" / f"{compiled.stem}.ts"
    messages = list(ElementTree.parse(source).getroot().iter("message"))
    assert len(messages) > 400
    wanted = {m.findtext("source"): m.findtext("translation") for m in messages}
    QCoreApplication.installTranslator(translator)
    found = {text: QCoreApplication.translate("wsss_geo", text) for text in wanted}
    QCoreApplication.removeTranslator(translator)
    assert found == wanted, "run: make translations"


@pytest.fixture
def marked(qgis_app):
    """Let the plugin speak a language whose texts all begin with ¿."""
    from qgis.PyQt.QtCore import QCoreApplication, QTranslator

    class Marking(QTranslator):
        def isEmpty(self):
            return False

        def translate(self, context, text, disambiguation=None, n=-1):
            return f"¿{text}" if context == "wsss_geo" else ""

    translator = Marking()
    QCoreApplication.installTranslator(translator)
    yield
    QCoreApplication.removeTranslator(translator)


#: What is shown as it is: names, and the values of choices.
NAMES = re.compile(r"wsss-geo|auto|cpu|cuda|mps|QGIS|F1|…|.*[\\/].*|[\d\s.,:%]*")


def escaped(texts):
    """What reads like language and came past the translator."""
    return sorted({t for t in texts if t and "¿" not in t and not NAMES.fullmatch(t) and re.search("[A-Za-z]{2}", t)})


def shown(widget):
    """Texts of a widget of the plugin and of all in it; not those of QGIS's own widgets."""
    from qgis.PyQt.QtWidgets import (
        QAbstractButton,
        QComboBox,
        QDialogButtonBox,
        QGroupBox,
        QLabel,
        QLineEdit,
        QPlainTextEdit,
        QProgressBar,
        QSpinBox,
        QWidget,
    )

    yield widget.windowTitle()
    for one in (widget, *widget.findChildren(QWidget)):
        parents = []
        parent = one.parent()
        while parent is not None:
            parents.append(type(parent))
            parent = parent.parent()
        foreign = any(p.__module__.startswith("qgis._gui") and p.__name__ != "QgsDockWidget" for p in parents)
        if foreign or (QDialogButtonBox in parents and isinstance(one, QAbstractButton) and not one.objectName()):
            continue
        if isinstance(one, (QAbstractButton, QLabel)):
            yield one.text()
        if isinstance(one, QGroupBox):
            yield one.title()
        if isinstance(one, QLineEdit):
            yield one.placeholderText()
        if isinstance(one, QSpinBox):
            yield from (one.specialValueText(), one.suffix())
        if isinstance(one, QProgressBar):
            yield one.format()
        if isinstance(one, QPlainTextEdit):
            yield one.placeholderText()
        if type(one) is QComboBox:
            yield from (one.itemText(i) for i in range(one.count()))
        if not type(one).__module__.startswith("qgis._gui"):
            yield one.toolTip()


def test_nothing_on_the_windows_escapes_the_translator(marked, load, package, iface):
    plugin = load()
    assert escaped(a.text() for _, a in iface.menu) == []
    assert escaped(a.toolTip() for a in iface.toolbar) == []
    for open_dock in (plugin.show_segment_dock, plugin.show_tag_dock, plugin.show_similar_dock):
        open_dock()
    windows = list(plugin._docks.values())
    page = package("gui.options_page").OptionsPage(lambda: None, lambda: None)
    dialogs = [
        package("gui.setup_dialog").SetUpDialog(iface.window),
        package("gui.models_dialog").ModelsDialog(lambda: None, lambda: None, iface.window),
    ]
    for window in (*windows, page, *dialogs):
        texts = list(shown(window))
        assert sum("¿" in text for text in texts) >= 2, window
        assert escaped(texts) == [], window
    for dialog in dialogs:
        dialog.deleteLater()
    page.deleteLater()


def test_nothing_of_the_algorithms_escapes_the_translator(marked, load):
    load()
    for algorithm in algorithms().values():
        texts = [algorithm.displayName(), algorithm.shortDescription(), algorithm.shortHelpString()]
        for definition in algorithm.parameterDefinitions():
            texts += [definition.description(), definition.help()]
        texts += [d.description() for d in algorithm.outputDefinitions()]
        assert escaped(texts) == [], algorithm.name()


def test_sentences_of_refusals_and_failures_are_translated(marked, package, tmp_path):
    locate, worker = package("engine.locate"), package("worker")
    assert escaped([locate.check_python(str(tmp_path / "none"))]) == []
    with pytest.raises(locate.EngineMissingError) as missing:
        locate.find_engine()
    verdicts = [worker._verdict(code) for code in (0, 1, 130, -9, -15)]
    times = [worker.time_left(seconds) for seconds in (5, 500, 50_000)]
    assert escaped([str(missing.value), *verdicts, *times]) == []


def test_numbers_are_written_as_the_language_does(language, package):
    translate = package("translate")
    language("de_DE")
    assert translate.number(1_234_567.891, ",.2f") == "1.234.567,89"
    assert translate.fill("{:,} of {}: {}", 1234, 5678, "a.b,c") == "1.234 of 5678: a.b,c"
    language("en_US")
    assert translate.number(1_234_567.891, ",.2f") == "1,234,567.89"
