"""What a digit is: the class-conditional GAN of gangen, its training and its sampler.

Importing this package loads neither Keras nor TensorFlow: a command line that only checks its
arguments must stay quick. Import the module you need (`ganmodel.sampler`, `ganmodel.trainer`).
"""

__version__ = "0.1.0"
