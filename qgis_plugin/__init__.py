"""The QGIS side of wsss-geo: parameters in, one worker process of the engine's Python, results out."""
