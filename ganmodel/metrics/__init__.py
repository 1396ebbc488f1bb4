"""How near digits are to real ones, on arrays alone: NumPy and scikit-learn, no TensorFlow."""
