"""A model in a form that runs without this project: TensorFlow's SavedModel, ONNX, or the files of sherpa-onnx."""
