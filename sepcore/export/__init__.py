"""A model in forms that run without this project: TensorFlow's SavedModel, ONNX, and what sherpa-onnx reads."""
