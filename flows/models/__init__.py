"""The models in MODEL_PATH: fetch, list, check them; convert them from PyTorch and to it."""
