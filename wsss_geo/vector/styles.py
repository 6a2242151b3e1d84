"""Styles for QGIS (.qml) and for any OGC client (.sld), as text.

QGIS 3.22 and later read them; each class is one category or rule, in the order of the scheme.
"""

from __future__ import annotations

from xml.etree import ElementTree as Xml  # nosec B405: writes only

from wsss_geo.classes import ClassScheme, LandCoverClass

#: Opacity of the fill of polygons, so that the image below stays visible.
FILL_OPACITY = 0.6
#: Width of outlines: millimetres in QGIS, pixels in SLD.
_OUTLINE_MM, _OUTLINE_PX = "0.2", "0.7"

_SLD, _OGC, _XSI = (
    "http://www.opengis.net/sld",
    "http://www.opengis.net/ogc",
    "http://www.w3.org/2001/XMLSchema-instance",
)
_QGIS_DOCTYPE = "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n"


def polygon_qml(classes: ClassScheme) -> str:
    """Return the QGIS style of polygons: categories by the field ``class``, filled in the class colours."""
    root = _qgis("Symbology")
    renderer = Xml.SubElement(root, "renderer-v2", type="categorizedSymbol", attr="class", symbollevels="0",
                              forceraster="0", enableorderby="0")  # fmt: skip
    categories = Xml.SubElement(renderer, "categories")
    symbols = Xml.SubElement(renderer, "symbols")
    for position, entry in enumerate(classes.classes):
        Xml.SubElement(categories, "category", value=entry.name, label=entry.name, symbol=str(position), render="true",
                       type="string")  # fmt: skip
        _add_symbol(symbols, str(position), entry)
    Xml.SubElement(renderer, "rotation")
    Xml.SubElement(renderer, "sizescale")
    Xml.SubElement(root, "layerOpacity").text = "1"
    Xml.SubElement(root, "layerGeometryType").text = "2"
    return _QGIS_DOCTYPE + _text(root)


def raster_qml(classes: ClassScheme) -> str:
    """Return the QGIS style of a mask: the palette of the classes; nodata stays transparent."""
    root = _qgis("Symbology")
    pipe = Xml.SubElement(root, "pipe")
    renderer = Xml.SubElement(pipe, "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1",
                              nodataColor="")  # fmt: skip
    Xml.SubElement(renderer, "rasterTransparency")
    palette = Xml.SubElement(renderer, "colorPalette")
    for entry in classes.classes:
        Xml.SubElement(palette, "paletteEntry", value=str(entry.id), color=entry.color, alpha="255", label=entry.name)
    Xml.SubElement(pipe, "rasterresampler", maxOversampling="2")
    Xml.SubElement(root, "blendMode").text = "0"
    return _QGIS_DOCTYPE + _text(root)


def polygon_sld(classes: ClassScheme, layer: str = "classes") -> str:
    """Return the style of polygons as SLD 1.0.0, one rule a class, for the layer called ``layer``."""
    root = Xml.Element(f"{{{_SLD}}}StyledLayerDescriptor", version="1.0.0")
    root.set(f"{{{_XSI}}}schemaLocation", f"{_SLD} http://schemas.opengis.net/sld/1.0.0/StyledLayerDescriptor.xsd")
    named = _add(root, "NamedLayer")
    _add(named, "Name").text = layer
    user_style = _add(named, "UserStyle")
    _add(user_style, "Name").text = layer
    feature_type = _add(user_style, "FeatureTypeStyle")
    for entry in classes.classes:
        rule = _add(feature_type, "Rule")
        _add(rule, "Name").text = entry.name
        _add(rule, "Title").text = entry.name
        test = Xml.SubElement(Xml.SubElement(rule, f"{{{_OGC}}}Filter"), f"{{{_OGC}}}PropertyIsEqualTo")
        Xml.SubElement(test, f"{{{_OGC}}}PropertyName").text = "class"
        Xml.SubElement(test, f"{{{_OGC}}}Literal").text = entry.name
        symbolizer = _add(rule, "PolygonSymbolizer")
        fill = _add(symbolizer, "Fill")
        _add_parameter(fill, "fill", entry.color)
        _add_parameter(fill, "fill-opacity", str(FILL_OPACITY))
        stroke = _add(symbolizer, "Stroke")
        _add_parameter(stroke, "stroke", _darker(entry))
        _add_parameter(stroke, "stroke-width", _OUTLINE_PX)
    Xml.register_namespace("", _SLD)
    Xml.register_namespace("ogc", _OGC)
    Xml.register_namespace("xsi", _XSI)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + _text(root)


def _qgis(categories: str) -> Xml.Element:
    return Xml.Element("qgis", version="3.22.0", styleCategories=categories)


def _add_symbol(symbols: Xml.Element, name: str, entry: LandCoverClass) -> None:
    symbol = Xml.SubElement(symbols, "symbol", type="fill", name=name, alpha="1", clip_to_extent="1", force_rhr="0")
    layer = Xml.SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
    red, green, blue = entry.rgb
    dark = ",".join(str(v) for v in bytes.fromhex(_darker(entry)[1:]))
    settings = {
        "color": f"{red},{green},{blue},{round(FILL_OPACITY * 255)}",
        "style": "solid",
        "outline_color": f"{dark},255",
        "outline_style": "solid",
        "outline_width": _OUTLINE_MM,
        "outline_width_unit": "MM",
        "joinstyle": "bevel",
    }
    options = Xml.SubElement(layer, "Option", type="Map")
    for key, value in settings.items():
        Xml.SubElement(options, "Option", name=key, value=value, type="QString")
    for key, value in settings.items():  # the form before QGIS 3.26
        Xml.SubElement(layer, "prop", k=key, v=value)


def _darker(entry: LandCoverClass) -> str:
    """Return the colour of the outline, ``#rrggbb``."""
    return "#" + bytes(round(v * 0.6) for v in entry.rgb).hex()


def _add(parent: Xml.Element, tag: str) -> Xml.Element:
    return Xml.SubElement(parent, f"{{{_SLD}}}{tag}")


def _add_parameter(parent: Xml.Element, name: str, value: str) -> None:
    Xml.SubElement(parent, f"{{{_SLD}}}CssParameter", name=name).text = value


def _text(root: Xml.Element) -> str:
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode") + "\n"
