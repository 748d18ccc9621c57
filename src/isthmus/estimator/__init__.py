"""scikit-learn's faces of a trained autoencoder: a transformer, a detector of anomalies, a classifier."""
