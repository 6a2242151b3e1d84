"""A procedural landscape that looks like a 0.5 m orthophoto, with its exact land-cover truth.

The order of work is that of a real scene: ground is divided into parcels (``parcels``), painted with crops and
meadows (``fields``), cut by a river (``water``), opened up by roads (``roads``), built upon (``village``) and planted
(``woodland``); the sun and the camera come last (``camera``). All parts draw on one ``Canvas`` (``canvas``).
"""
