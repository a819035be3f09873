"""A model's JSON: every key, validated once at load."""
