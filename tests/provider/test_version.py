import pytest

from sepcore.provider.version import latest_version, parse_version


@pytest.mark.parametrize("text", ["0.0.1", "1.2.0", "10.20.30", "1.2.0-rc.1", "1.0.0-alpha-2.b"])
def test_a_semantic_version_is_one(text):
    assert str(parse_version(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1.0",
        "v1.0.0",
        "1.0.0.0",
        "01.0.0",
        "1.0.0-",
        "1.0.0-01",
        "1.0.0+linux",
        "1.0.0\n",
        "../1.0.0",
        "١.٠.٠",
    ],
)
def test_anything_else_is_none(text):
    assert parse_version(text) is None


@pytest.mark.parametrize(
    ("tags", "latest"),
    [
        (["1.9.0", "1.10.0", "1.2.11"], "1.10.0"),
        (["v1.4.0", "1.3.9"], "v1.4.0"),
        (["1.0.0", "2.0.0-rc.1"], "1.0.0"),
        (["2.0.0-rc.1", "notes"], None),
        ([], None),
    ],
)
def test_the_latest_is_the_highest_that_is_no_prerelease(tags, latest):
    assert latest_version(tags) == latest
