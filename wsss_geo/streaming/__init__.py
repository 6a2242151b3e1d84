"""Streaming: scores of overlapping windows become bands of mask rows, in bounded memory."""
