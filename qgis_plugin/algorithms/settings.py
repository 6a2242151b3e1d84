"""Processing parameters from the fields of a job, and the fields' values from the parameters.

A job's field says its kind, limits, choices and help; so command line and QGIS never drift apart.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from qgis.core import (
    QgsProcessingAlgorithm,
    QgsProcessingContext,
    QgsProcessingException,
    QgsProcessingParameterBoolean,
    QgsProcessingParameterDefinition,
    QgsProcessingParameterEnum,
    QgsProcessingParameterFile,
    QgsProcessingParameterNumber,
    QgsProcessingParameterString,
)

from ..options import load_options
from ..translate import mark, tr

#: What a field is called in dialogs, where its name alone does not say it.
LABELS = {
    "backbone_args": mark("Backbone arguments (name=value, …)"),
    "bands": mark("Bands, in the model's order (such as 4,3,2)"),
    "batch_size": mark("Batch size"),
    "check_every": mark("Steps between checkpoints"),
    "classes": mark("Class scheme (classes.json)"),
    "compile": mark("Compile the network"),
    "crop": mark("Training view (pixels)"),
    "device": mark("Compute on"),
    "detail": mark("Pixels along a cell of activation maps"),
    "flips": mark("Average over flips"),
    "from_cam": mark("The raster holds class activation maps"),
    "from_model": mark("Model to train on"),
    "gsd": mark("Ground sample distance (metres)"),
    "held": mark("Classes to leave out"),
    "learning_rate": mark("Learning rate"),
    "max_memory": mark("Most memory (such as 1.5GiB)"),
    "match_colours": mark("Match the colours of the training scenes"),
    "materialize": mark("Copy the pixels of every tile"),
    "min_area": mark("Minimum polygon area (square metres)"),
    "most": mark("Most views of examples"),
    "name": mark("What to call it"),
    "overlap": mark("Window overlap (share)"),
    "pretrained": mark("Download published backbone weights"),
    "recipe": mark("Recipe (YAML)"),
    "refine": mark("Refine borders by the image"),
    "resample": mark("Resample to the model's ground sample distance"),
    "rotations": mark("Average over quarter turns"),
    "scales": mark("Average over scales (such as 0.75,1,1.25)"),
    "scene_block": mark("Scene block (pixels)"),
    "scores": mark("Scores that decide"),
    "settings": mark("Method settings (name=value, …)"),
    "shots": mark("Examples of an episode, at most"),
    "simplify": mark("Simplification tolerance (pixels)"),
    "size": mark("Tile size (pixels)"),
    "stac": mark("Write a STAC item"),
    "steps": mark("Training steps"),
    "stride": mark("Tile step (pixels)"),
    "test": mark("Share of scenes for testing"),
    "threads": mark("Decoding threads"),
    "threshold": mark("Confidence threshold"),
    "unsure": mark("Unsure pixels as a class of their own"),
    "val": mark("Share of scenes for validation"),
    "weights": mark("Backbone weights"),
    "window": mark("Window size (pixels)"),
    "with_tags": mark("Let only the tags of a tile compete"),
    "workers": mark("Loading processes"),
}
FILTERS = {
    "classes": mark("Class schemes (*.json)"),
    "from_model": mark("Models (*.safetensors)"),
    "model": mark("Models (*.safetensors)"),
    "recipe": mark("Recipes (*.yaml *.yml)"),
    "weights": mark("Weights (*.safetensors *.pth *.pt)"),
}


def parameter_name(field: dataclasses.Field[Any]) -> str:
    """Return the name of the parameter that carries ``field``."""
    return field.name.upper()


def setting_parameter(field: dataclasses.Field[Any], label: str = "") -> QgsProcessingParameterDefinition:
    """Return the Processing parameter for a job's field."""
    rule = field.metadata
    kind, name = rule["kind"], parameter_name(field)
    label = tr(label or LABELS.get(field.name) or field.name.replace("_", " ").capitalize())
    required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    default = None if required or kind == "mapping" else field.default
    if field.name == "device":
        default = load_options().device
    optional = bool(rule["optional"]) or kind == "mapping"
    if kind == "flag":
        parameter = QgsProcessingParameterBoolean(name, label, default, optional)
    elif kind == "choice":
        parameter = QgsProcessingParameterEnum(name, label, list(rule["choices"]), False, default, optional, True)
    elif kind in ("int", "float"):
        types = QgsProcessingParameterNumber.Type
        number = types.Integer if kind == "int" else types.Double
        parameter = QgsProcessingParameterNumber(name, label, number, default, optional)
        if rule["low"] is not None:
            parameter.setMinimum(rule["low"])
        if rule["high"] is not None:
            parameter.setMaximum(rule["high"])
    elif kind == "path":
        behavior = QgsProcessingParameterFile.Behavior.File
        files = tr(FILTERS[field.name]) if field.name in FILTERS else ""
        parameter = QgsProcessingParameterFile(name, label, behavior, "", default, optional, files)
    else:
        parameter = QgsProcessingParameterString(name, label, default, False, optional)
    parameter.setHelp(tr(rule["help"]))
    if rule["advanced"]:
        parameter.setFlags(parameter.flags() | QgsProcessingParameterDefinition.Flag.FlagAdvanced)
    return parameter


def setting_values(
    algorithm: QgsProcessingAlgorithm,
    job_fields: list[dataclasses.Field[Any]],
    parameters: Mapping[str, Any],
    context: QgsProcessingContext,
) -> dict[str, Any]:
    """Return the values of the fields whose parameters are set. Raises QgsProcessingException."""
    found = {}
    for field in job_fields:
        name = parameter_name(field)
        definition = algorithm.parameterDefinition(name)
        if parameters.get(name) in (None, "") and definition.defaultValue() in (None, ""):
            continue
        value = _value(algorithm, field, parameters, context)
        if value is not None:
            found[field.name] = value
    return found


def _value(
    algorithm: QgsProcessingAlgorithm, field: dataclasses.Field[Any], parameters: Any, context: QgsProcessingContext
) -> Any:
    kind, name = field.metadata["kind"], parameter_name(field)
    if kind == "flag":
        return algorithm.parameterAsBool(parameters, name, context)
    if kind == "choice":
        return algorithm.parameterAsEnumString(parameters, name, context)
    if kind == "int":
        return algorithm.parameterAsInt(parameters, name, context)
    if kind == "float":
        return algorithm.parameterAsDouble(parameters, name, context)
    text = algorithm.parameterAsString(parameters, name, context).strip()
    if not text:
        return None
    label = algorithm.parameterDefinition(name).description()
    if kind in ("ints", "floats"):
        return _numbers(text, label, kind)
    if kind == "mapping":
        return _mapping(text, label)
    return text


def _numbers(text: str, label: str, kind: str) -> list[Any]:
    """Return the whole numbers (``ints``) or numbers (``floats``) in ``text``. Raises QgsProcessingException."""
    try:
        return [int(word) if kind == "ints" else float(word) for word in text.replace(";", ",").split(",")]
    except ValueError:
        sentence = (
            tr("{}: “{}” is not a list of whole numbers; write it like 1,2,3.")
            if kind == "ints"
            else tr("{}: “{}” is not a list of numbers; write it like 0.75,1,1.25.")
        )
        raise QgsProcessingException(sentence.format(label, text)) from None


def _mapping(text: str, label: str) -> dict[str, Any]:
    values = {}
    for pair in text.replace("\n", ",").split(","):
        name, equals, value = (part.strip() for part in pair.partition("="))
        if not name and not equals:
            continue
        if not name or not equals:
            raise QgsProcessingException(
                tr("{}: “{}” is not name=value; separate pairs by commas.").format(label, pair.strip())
            )
        values[name] = _plain(value)
    return values


def _plain(word: str) -> Any:
    """Return the number, true or false that ``word`` writes, else the word itself."""
    try:
        value = json.loads(word)
    except ValueError:
        return word
    return value if isinstance(value, (bool, int, float)) else word
