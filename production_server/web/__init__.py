"""The web tier: the answer-now route in front, Flask for everything else. It never loads Keras."""
