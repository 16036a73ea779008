"""Models: cards, the registry, training, import, prediction and synthetic rows.

Modules import Keras only inside the functions that need it. So the web process can read cards and
the registry without loading Keras.
"""
