"""Made-up multitrack songs, for the quickstart and the tests."""
