"""The models in MODEL_PATH: fetch them ahead of time, list them beside those of the release, check their files."""
