"""Prediction: the job that maps rasters, alone or shared among many, resumable at any band, and what it writes."""
