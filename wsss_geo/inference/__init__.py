"""Prediction: rasters of any size through a model, in bounded memory."""
