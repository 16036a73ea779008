"""The model: its card, its registry, training, prediction and synthetic patients.

Keras is imported by the modules that need it (predictor, network, training, importing) and only
inside their functions, so that the web process can read cards without loading Keras.
"""
