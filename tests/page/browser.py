"""A real browser for the tests of pages: the Chromium of this machine, without a window, on a file of this machine."""

import shutil

import pytest

_ARGUMENTS = (
    "--no-sandbox",  # tests may run as root
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--autoplay-policy=no-user-gesture-required",
)


# Not for the whole session: as long as it is there an event loop runs, and Prefect's tests could not start theirs.
@pytest.fixture(scope="module")
def chromium():
    """The browser, for the tests of one file."""
    path = shutil.which("chromium")
    if path is None:
        pytest.skip("no chromium on the PATH (Debian: apt-get install chromium)")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(_ARGUMENTS))
        yield browser
        browser.close()


class Opener:
    """Opens pages in a browser, and hears what they complain of and ask for."""

    def __init__(self, browser):
        self._browser, self._contexts = browser, []
        self.complaints, self._requests = [], []

    def __call__(self, path, **options):
        """The page of a file; options as of Playwright's ``new_context``."""
        context = self._browser.new_context(**options)
        self._contexts.append(context)
        context.set_default_timeout(10_000)
        page = context.new_page()
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: self._requests.append(request))
        page.goto(path.as_uri())
        return page

    def close(self):
        for context in self._contexts:
            context.close()
        asked = [request for request in self._requests if not request.url.startswith("data:")]
        # A page that is opened, or that a link leads to, and nothing for it.
        assert not [request.url for request in asked if not request.is_navigation_request()]
        assert all(request.url.startswith("file:") for request in asked)


@pytest.fixture
def open_page(chromium):
    """A function that opens a file; whatever the test does, its page may complain of nothing and ask for nothing."""
    opener = Opener(chromium)
    yield opener
    opener.close()
    assert not opener.complaints, opener.complaints
