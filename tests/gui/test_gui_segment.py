"""From the toolbar's button to styled layers in a real QGIS window, and unloading."""

from __future__ import annotations


def test_two_clicks_from_the_toolbar_to_styled_layers(in_qgis, model, part):
    found = in_qgis("press_segment.py", f"[wsss_geo]\nlast_model={model}\n", SCENE=str(part))
    assert found["buttons"] == ["wsss_geo_segment", "wsss_geo_similar", "wsss_geo_tag"]
    assert found["model"] == "model.safetensors"
    assert found["preview"] == [
        ["scene: Preview", "singlebandpseudocolor", True],
        ["scene", "multibandcolor", True],
    ]
    assert found["status"] == "Done."
    assert found["clicks"] == ["wsss_geo_segment", "wsss_geo_segment_run"]
    assert found["layers"] == [
        ["scene: Polygons", "categorizedSymbol", True],
        ["scene: Mask by confidence", "singlebandpseudocolor", False],
        ["scene: Mask", "paletted", False],
        ["scene: Confidence", "singlebandgray", False],
        ["scene", "multibandcolor", True],
    ]
    assert found["dock"][1] <= 800  # it scrolls rather than stretch the window
    assert found["dialog"][0] <= 1000
    assert found["dialog"][1] <= 580
    assert found["clipped"] == []
    assert found["left"] == {"buttons": [], "provider": False, "menu": [], "docks": []}
