"""Training with Keras: rows through tf.data, a network (or a line), and its weights back in the units of the data.

The only owner of TensorFlow, which `backend.load` imports when the first fit begins.
"""
