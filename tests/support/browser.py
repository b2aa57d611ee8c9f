"""Debian's Chromium, headless and driven by playwright, for tests of the page; how soon its first plot is."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# As root Chromium has no sandbox; the rest keeps it from asking anybody but the page's server.
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]
FLAGS += ["--disable-component-update", "--disable-sync"]
# The address of the page with no channel chosen.
EMPTY = "#none"
DRAWN = "performance.getEntriesByName('drawn')"


def context(browser, width=1280, height=900, zone="America/Chicago", **more):
    """A BrowserContext that knows nothing of others; more: as of playwright's new_context."""
    return browser.new_context(viewport={"width": width, "height": height}, timezone_id=zone, **more)


@contextlib.contextmanager
def chromium():
    """A playwright Browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        try:
            yield browser
        finally:
            browser.close()


def until(page, expression, seconds=15):
    """Wait until a JavaScript expression holds; playwright's own way needs eval, which the page's policy forbids."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, f"never so: {expression}; the page says: {page.locator('#view').inner_text()}"
        page.wait_for_timeout(20)


class Tab:
    """A page of the streams server, and all that it asked and complained of.

    context: a playwright BrowserContext, whose tabs share what it keeps of a server's files.
    console: what the browser wrote there; failed: errors that no one caught; asked: addresses of all requests.
    """

    def __init__(self, context, base):
        self.base, self.page = base, context.new_page()
        self.page.set_default_timeout(15_000)
        self.console, self.failed, self.asked = [], [], []
        self.page.on("console", lambda message: self.console.append(message.text))
        self.page.on("pageerror", lambda error: self.failed.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self, fragment="", drawn=True):
        """Go to the page; drawn: wait for its plot."""
        self.page.goto(f"{self.base}/{fragment}")
        if drawn:
            until(self.page, f"{DRAWN}.length")
        return self

    def follow(self, fragment=EMPTY, drawn=True):
        """The same, by a link followed in the page as it is, after one to an empty plot."""
        self.page.goto(f"{self.base}/{EMPTY}")
        self.says("#message", "Choose a channel")
        if fragment != EMPTY and drawn:
            self.after(self.page.goto, f"{self.base}/{fragment}")
        elif fragment != EMPTY:
            self.page.goto(f"{self.base}/{fragment}")
        return self

    def forget(self):
        """(asked, console, failed) up to now, which begin anew."""
        told = self.asked[:], self.console[:], self.failed[:]
        for each in (self.asked, self.console, self.failed):
            each.clear()
        return told

    def after(self, act, *args):
        """Do something, and wait until it has led to another plot."""
        before = self.page.evaluate(f"{DRAWN}.length")
        act(*args)
        until(self.page, f"{DRAWN}.length > {before}")

    def traces(self):
        """What plotly draws: curves, the bands before them, strips, as dicts."""
        return self.page.evaluate("document.getElementById('plot').data")

    def curves(self):
        """The curves alone."""
        return [trace for trace in self.traces() if trace["type"] == "scatter" and trace.get("hoverinfo") != "skip"]

    def layout(self):
        return self.page.evaluate("document.getElementById('plot').layout")

    def text(self, selector):
        """The text of an element that is on the page, shown or not."""
        return self.page.locator(selector).text_content().strip()

    def says(self, selector, text):
        """Wait until an element that can be seen holds a text."""
        self.page.locator(selector, has_text=text).wait_for(state="visible")

    def press(self, name):
        """Press the button of a name."""
        self.page.get_by_role("button", name=name, exact=True).click()


def first_plot(address, width=1280, height=900):
    """Seconds from the start of the navigation to the first plot, in a browser that has never been there.

    No driver is connected until it is drawn: with one the browser keeps more of each error that the chart library
    throws and catches as it starts, and takes half a second longer than for people.
    """
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sync_playwright() as driver:
        options = ["--headless", *FLAGS, f"--window-size={width},{height}", "--remote-debugging-port=0"]
        command = ["chromium", *options, f"--user-data-dir={folder}", address]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(5)
                port = Path(folder, "DevToolsActivePort").read_text().split()[0]
                page = driver.chromium.connect_over_cdp(f"http://127.0.0.1:{port}").contexts[0].pages[0]
                until(page, f"{DRAWN}.length")
                return page.evaluate(f"{DRAWN}[0].startTime") / 1000
            finally:
                process.terminate()


if __name__ == "__main__":
    # browser.py ADDRESS [TIMES]: the seconds to the first plot, each time in a new browser.
    for _ in range(int(sys.argv[2]) if len(sys.argv) > 2 else 3):
        print(f"{first_plot(sys.argv[1]):.2f} s, load {os.getloadavg()[0]:.1f}")
